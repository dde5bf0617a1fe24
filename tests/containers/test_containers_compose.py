"""
The compose cluster, really built and run: `make test-containers`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.containers import engine as engines

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent.parent
SLICE = Path("/sys/fs/cgroup/unified/meshlensdemo.slice")
pytestmark = [
    pytest.mark.containers,
    pytest.mark.skipif(os.geteuid() != 0, reason="a container engine of one's own needs root"),
]


class Cluster:
    """
    The running cluster, asked from inside its own network namespace.
    """

    def __init__(self, engine: engines.Engine, namespace: str) -> None:
        self.engine = engine
        self.namespace = namespace
        tokens = json.loads((ROOT / "var/compose/tokens.json").read_text())
        self.token = next(token for token, role in tokens.items() if role == "viewer")

    def compose(self, *words: str, timeout_s: float = 600) -> str:
        """
        Run docker-compose.
        """
        compose = Path(sys.executable).parent / "docker-compose"
        return engines.run(str(compose), *words, timeout_s=timeout_s, env=compose_environment(self.engine))

    def fetch(self, path: str, *, token: bool = True) -> tuple[int, Any]:
        """
        Return status and JSON of *path*, asked over the published port.
        """
        code = (
            "import sys, urllib.request as u, urllib.error as e\n"
            "r = u.Request('http://127.0.0.1:8800' + sys.argv[1])\n"
            "if sys.argv[2]: r.add_header('Authorization', 'Bearer ' + sys.argv[2])\n"
            "try: a = u.urlopen(r, timeout=5)\n"
            "except e.HTTPError as x: a = x\n"
            "print(a.status); print(a.read().decode())\n"
        )
        words = ["nsenter", f"--net=/run/netns/{self.namespace}", sys.executable, "-c", code, path]
        status, _, body = engines.run(*words, self.token if token else "").partition("\n")
        return int(status), json.loads(body)


def compose_environment(engine: engines.Engine) -> dict[str, str]:
    """
    Return what compose.yaml asks of its environment.
    """
    return {
        **engine.env,
        "COMPOSE_FILE": f"{ROOT}/compose.yaml:{ROOT}/tests/containers/old-engine.yaml",
        "MESHLENS_NATS_IMAGE": "mesh-test-nats",
        "MESHLENS_POSTGRES_IMAGE": "mesh-test-postgres",
        "MESHLENS_BUILD_NETWORK": "host",
    }


def build_images(env: dict[str, str]) -> None:
    """
    Build every image from the base image made here.
    """
    servers = ROOT / "tests/containers"
    with engines.engine(env) as engine:
        engines.ensure_base_image(engine)
        builds = [(f"mesh-test-{name}", name, servers / "servers.Dockerfile", servers) for name in ("nats", "postgres")]
        names = ("service", "probe-manager", "demo")
        builds += [(f"meshlens-{name}", name, ROOT / "deploy/Dockerfile", ROOT) for name in names]
        for tag, target, file, context in builds:
            words = ["build", "--network=host", "-q", "-t", tag, "--target", target, "-f", str(file), str(context)]
            engine.docker(*words, timeout_s=900)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """
    The cluster, up and ready; taken down with its volumes at the end.
    """
    env = engines.ensure_tools()
    subprocess.run([sys.executable, str(ROOT / "deploy/compose/make_secrets.py")], check=True)
    build_images(env)
    with engines.network_namespace(engines.NAMESPACE) as namespace, engines.engine(env, namespace=namespace) as engine:
        running = Cluster(engine, namespace)
        try:
            running.compose("up", "-d", "--no-build")
            yield running
            print(running.compose("ps", "-a"))
        finally:
            print(running.compose("logs", "--tail", "40"))
            running.compose("down", "-v", "-t", "5")
    if SLICE.exists():
        SLICE.rmdir()


def answers_ready(cluster: Cluster) -> bool:
    """
    Return whether query-api is ready.
    """
    try:
        return cluster.fetch("/readyz", token=False)[0] == 200
    except (RuntimeError, ValueError):
        return False


def test_the_demo_is_on_the_map(cluster: Cluster) -> None:
    """
    Within two minutes the map shows the shop's services and who asks whom.
    """
    services = {"shop", "catalog", "cart", "checkout", "nginx", "postgres", "redis-server"}
    relations = {("nginx", "shop"), ("shop", "catalog"), ("catalog", "postgres"), ("catalog", "redis-server")}
    seen: dict[str, Any] = {}

    def shown() -> bool:
        status, topology = cluster.fetch("/api/v1/topology")
        seen["services"] = {service["name"] for service in topology.get("services", [])}
        seen["relations"] = {(one["source"], one["target"]) for one in topology.get("relations", [])}
        return status == 200 and services <= seen["services"] and relations <= seen["relations"]

    engines.wait_until(lambda: answers_ready(cluster), 120, "query-api")
    try:
        engines.wait_until(shown, 120, "the shop on the map")
    finally:
        print(seen)

    assert services <= seen["services"]
    assert relations <= seen["relations"]


def test_only_probe_manager_has_capabilities(cluster: Cluster) -> None:
    """
    Every other service of the mesh runs with an empty set, and as an unprivileged user.
    """
    ids = cluster.compose("ps", "-q", "topology-builder", "query-api", "alert-manager").split()
    held = [cluster.engine.docker("exec", one, "grep", "CapEff", "/proc/1/status").split()[1] for one in ids]

    assert held == ["0000000000000000"] * 3


def test_the_page_asks_for_a_token(cluster: Cluster) -> None:
    """
    Bound wider than loopback inside its container, the API answers 401 without a token.
    """
    engines.wait_until(lambda: answers_ready(cluster), 120, "query-api")

    assert cluster.fetch("/api/v1/topology", token=False)[0] == 401
    assert cluster.fetch("/api/v1/topology")[0] == 200
