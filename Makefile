# meshlens: `make run` starts everything with a demo, `make test` passes the tests, `make help` lists the rest.
SHELL := /bin/bash
PYTHON := .venv/bin/python
export PATH := $(PATH):/usr/sbin:/sbin:/usr/local/go/bin:$(CURDIR)/.venv/bin
PYTEST := $(PYTHON) -m pytest
# Whole files to each worker, in the order that tests/scheduling.py gives.
WORKERS := -n auto --dist loadfile --no-loadscope-reorder
# What an emulated processor can do in an hour: the hooks, the engine and its loops, TLS, and protocols of each kind.
OLD_KERNELS := tests/kernel/l4 $(addprefix tests/kernel/l7/test_kernel_l7_, \
	framed.py http.py http2.py redis.py postgresql.py mysql.py mongodb.py memcached.py kafka.py nats.py tls.py \
	$(foreach hooks,preferred fallback,languages.py::test_a_program_is_seen[$(hooks)-Go]) \
	tls_libraries.py::test_hooks_outlive_who_made_them)
OLD_PROTOCOLS := MESHLENS_TEST_PROTOCOLS=dns_tcp,http2,kafka,memcached,mongodb,mysql,nats,tls

.DEFAULT_GOAL := help
.PHONY: run demo setup setup-test test check lint types layers unit kernel mesh ui bench slow fuzz soak test-containers \
	test-kernels lock docs format clean help

run: setup ## Install what is missing, start everything with the demo, print the address of the page
	@exec .venv/bin/meshlens up --demo $(ARGS)

setup: ## Install what `make run` needs
	@deploy/setup.sh run

setup-test: ## Install what the tests need
	@deploy/setup.sh test

test: setup-test lint types layers ## Everything: lint, types, layers, and all tests (kernel tests need root)
	$(PYTEST) $(WORKERS) -m "not mesh and not ui and not containers and not slow" $(ARGS)
	$(PYTEST) $(WORKERS) -m "(mesh or ui) and not slow" $(ARGS)

check: setup-test lint types layers unit ## What needs neither root nor servers

lint: ## Rules of style
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .

types: ## Types, strictly, tests included
	$(PYTHON) -m mypy

layers: ## Who may import whom
	.venv/bin/lint-imports

unit: ## Tests without root and without servers
	$(PYTEST) -m "not kernel and not mesh and not ui and not containers and not slow" $(ARGS)

kernel: ## Tests that load BPF programs and count real traffic (root)
	$(PYTEST) -m kernel $(ARGS)

mesh: ## Tests with real NATS, PostgreSQL and services, end to end and under faults
	$(PYTEST) -m "mesh and not slow" $(ARGS)

ui: ## Tests of the page in headless Chromium
	$(PYTEST) -m ui $(ARGS)

bench: setup-test ## Measure cost and exactness, as pairs in one run; results in docs/performance.md
	$(PYTHON) -m tests.benchmarks $(ARGS)

slow: setup-test ## What takes minutes, and shows no more than others of its kind
	$(PYTEST) -m slow $(ARGS)

fuzz: setup-test ## Mutated bytes into every parser, guided by coverage (ARGS="--help")
	$(PYTHON) -m tests.fuzz $(ARGS)

soak: setup-test ## An hour of the demo without a fault: no false red, no growth (MINUTES=60)
	$(PYTHON) -m tests.mesh.soak --minutes $(or $(MINUTES),60)

test-containers: setup-test ## Build the images and run compose.yaml for real, with an engine of our own
	$(PYTEST) -m containers tests/containers $(ARGS)

test-kernels: setup-test ## Kernel tests in virtual machines with Debian's 6.1 and 6.12 kernels
	for kernel in 6.1 6.12; do \
		$(OLD_PROTOCOLS) $(PYTHON) -m tests.kernels.precompile $$kernel && \
		$(PYTHON) tests/kernels/vm.py --limit-s 5400 $$kernel -- MESHLENS_TEST_PATIENCE=10 $(OLD_PROTOCOLS) \
			$(CURDIR)/.venv/bin/python -B -m pytest -q -m kernel -p no:cacheprovider $(OLD_KERNELS) || exit 1; done

lock: ## Write the lock files anew
	deploy/lock.sh

format: ## Put the code into the house's form
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

clean: ## Remove what was built; data stays
	rm -rf .venv build services/query_api/ui/node_modules services/query_api/ui/dist .mypy_cache .ruff_cache .pytest_cache

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
