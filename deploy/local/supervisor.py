"""
Everything of one `meshlens up`: servers, schema, six services, perhaps the demo; started, kept alive, and cleaned away.

One thread, no event loop: children are started by the main thread, since the kernel ends a child with the thread that
started it, and looked at five times a second.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

import asyncpg

from deploy.demo import plan
from deploy.local import ports, schema
from deploy.local.child import Child
from deploy.local.data_directory import DataDirectory, Runtime
from deploy.local.environment import Addresses, repository, service_environment
from deploy.local.member import Member
from deploy.local.nats import USUAL_PORT as USUAL_NATS_PORT
from deploy.local.nats import NatsServer
from deploy.local.options import USUAL_PAGE_PORT
from deploy.local.postgres import USUAL_PORT as USUAL_POSTGRES_PORT
from deploy.local.postgres import PostgresServer, ensure_database
from services.query_api.security import is_loopback
from shared.errors import ConfigError, Unavailable
from shared.runtime.postgres import without_password

if TYPE_CHECKING:
    from deploy.local.console import Console
    from deploy.local.options import Options

SERVICES: Final = ("topology-builder", "protocol-parser", "anomaly-detector", "alert-manager", "query-api")
PRIVILEGED: Final = "probe-manager"
NAMES: Final = "TOPOLOGY_BUILDER_NAMES"
LEARNING: Final = "ANOMALY_DETECTOR_LEARNING_S"
DEMO_LEARNING_S: Final = "120"
"""The demo shop has no history worth half an hour of watching."""
LOOK_EVERY_S: Final = 0.2
LOG_LIMIT_BYTES: Final = 20 * 1024 * 1024
CLEANUP_S: Final = 30


class Supervisor:
    """
    The processes of one run.
    """

    def __init__(self, options: Options, console: Console) -> None:
        self.options: Final = options
        self.console: Final = console
        self.data: Final = DataDirectory(options.data_dir)
        self.members: Final[dict[str, Member]] = {}
        self.addresses: Addresses
        self.stopping = False
        self._demo_socket = ""

    @property
    def url(self) -> str:
        """
        Return the address of the page.
        """
        return self.addresses.page

    def start(self) -> None:
        """
        Start everything, in order.

        Raises:
            ConfigError: the operator must act.
            Unavailable: something did not come up in time.
        """
        self.data.prepare()
        self._guard_listening()
        nats = self._start_nats()
        dsn = self._start_postgres()
        roles = self._migrate(dsn)
        page_port = ports.choose(
            self.options.page_port, USUAL_PAGE_PORT, what="the page", setting="--port", host=self.options.listen
        )
        self.addresses = Addresses(nats=nats, postgres_roles=roles, page_host=self.options.listen, page_port=page_port)
        for service in SERVICES:
            self._add_service(service, self._settings_for_the_demo(service))
        if self.options.demo:
            self._add_demo()
        self._add_probe_manager()
        self.console.step(f"{sum(1 for member in self.members.values() if member.runs)} processes started")
        self._write_runtime()

    def watch(self, turns: int = 1) -> None:
        """
        Look after the processes for so many turns.
        """
        for _ in range(turns):
            if self.stopping:
                return
            for member in self.members.values():
                member.look()
            time.sleep(LOOK_EVERY_S)

    def tidy_logs(self) -> None:
        """
        Keep every log under its limit; the part before is kept once.
        """
        servers = [member.child.log for member in self.members.values() if member.child]
        for log in {*self.data.logs.glob("*.log"), *servers}:
            if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
                log.with_suffix(".log.1").write_bytes(log.read_bytes())
                os.truncate(log, 0)

    def stop(self) -> None:
        """
        End everything in the reverse order, and leave nothing in the kernel.
        """
        self.stopping = True
        for names in (("demo",), (PRIVILEGED,), SERVICES, ("postgres", "nats")):
            together = [self.members[name] for name in names if name in self.members]
            for member in together:
                member.ask_to_end()
            for member in together:
                member.stop()
        if PRIVILEGED in self.members:
            self._clean_kernel()
        self.data.release()

    def _guard_listening(self) -> None:
        if not is_loopback(self.options.listen):
            self.console.warn(f"listening on {self.options.listen}: the page asks for a token, NATS for credentials")

    def _start_nats(self) -> str:
        if self.options.nats:
            self.console.step(f"NATS: {self.options.nats} (outside)")
            return self.options.nats
        wide = not is_loopback(self.options.listen)
        host = self.options.listen if wide else "127.0.0.1"
        port = ports.choose(self.options.nats_port, USUAL_NATS_PORT, what="NATS", setting="--nats-port", host=host)
        server = NatsServer(
            self.data.path / "nats",
            port,
            host=host,
            user="meshlens" if wide else "",
            password=self.data.secrets().nats_password if wide else "",
            owner=self.options.user,
        )
        self._add(Member("nats", server.start, self.console.warn, may_give_up=False))
        self.console.step(f"NATS with JetStream: {server.url}")
        return server.url

    def _start_postgres(self) -> str:
        if self.options.postgres:
            self.console.step(f"PostgreSQL: {without_password(self.options.postgres)} (outside)")
            return self.options.postgres
        port = ports.choose(
            self.options.postgres_port, USUAL_POSTGRES_PORT, what="PostgreSQL", setting="--postgres-port"
        )
        server = PostgresServer(
            self.data.path / "postgres", port, self.data.secrets().postgres_owner, owner=self.options.user
        )
        self._add(Member("postgres", server.start, self.console.warn, may_give_up=False, stop_grace_s=30))
        dsn = asyncio.run(ensure_database(server))
        self.console.step(f"PostgreSQL: {without_password(dsn)}")
        return dsn

    def _migrate(self, dsn: str) -> dict[str, str]:
        passwords = self.data.secrets().postgres_roles
        try:
            version = asyncio.run(schema.migrate(dsn, passwords))
        except asyncpg.PostgresError as error:
            raise ConfigError(f"the schema cannot be brought up to date at {without_password(dsn)}: {error}") from error
        self.console.step(f"schema: version {version}")
        return {service: schema.with_role(dsn, service, password) for service, password in passwords.items()}

    def _add(self, member: Member) -> None:
        self.members[member.name] = member
        member.on_start = self._write_runtime
        member.start()

    def _add_service(self, service: str, extra: dict[str, str] | None = None) -> None:
        environment = service_environment(service, self.addresses, self.options, self.data) | (extra or {})

        def start() -> Child:
            return Child(
                [sys.executable, "-m", f"services.{service.replace('-', '_')}"],
                log=self.data.logs / f"{service}.log",
                environment=environment,
                directory=repository(),
            )

        self._add(Member(service, start, self.console.warn, stop_grace_s=10))

    def _add_demo(self) -> None:
        control = self.data.path / "demo" / "control.sock"

        def start() -> Child:
            return Child(
                [sys.executable, "-m", "deploy.demo", "--data-dir", self.data.path / "demo", "--control", control],
                log=self.data.logs / "demo.log",
                environment=dict(os.environ),
                directory=repository(),
            )

        member = Member("demo", start, self.console.warn, stop_grace_s=20)
        self._demo_socket = str(control)
        self._add(member)
        member.on_start = self._follow_the_demo

    def _follow_the_demo(self) -> None:
        self._write_runtime()
        if PRIVILEGED in self.members and not self.options.scope:
            self.members[PRIVILEGED].stop()
            self._clean_kernel()
            self._add_probe_manager()

    def _settings_for_the_demo(self, service: str) -> dict[str, str]:
        settings = {"topology-builder": (NAMES, plan.NAMES), "anomaly-detector": (LEARNING, DEMO_LEARNING_S)}
        if not self.options.demo or service not in settings:
            return {}
        name, value = settings[service]
        return {} if name in os.environ else {name: value}

    def _add_probe_manager(self) -> None:
        if os.geteuid() != 0:
            self.console.warn(
                "not root: probe-manager does not run, since loading BPF programs needs root (CAP_BPF, CAP_PERFMON, "
                "CAP_NET_ADMIN, CAP_SYS_PTRACE); everything else runs, the map shows what is stored"
            )
            return
        scope = self.options.scope
        demo = self.members.get("demo")
        if not scope and demo is not None and demo.child is not None:
            scope = f"tree:{demo.child.pid}"
        if not scope:
            self.console.warn(
                "nothing is observed: name what to observe with --scope (tree:PID, cgroup:PATH, netns:NAME, host), "
                "or start the demo with --demo"
            )
            return
        self._add_service(PRIVILEGED, {"PROBE_MANAGER_SCOPE": scope})

    def _clean_kernel(self) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "services.probe_manager", "--cleanup"],
            cwd=repository(),
            env=service_environment(PRIVILEGED, self.addresses, self.options, self.data),
            capture_output=True,
            text=True,
            check=False,
            timeout=CLEANUP_S,
        )
        if done.returncode:
            self.console.warn(f"BPF pins may be left: {(done.stderr or done.stdout).strip()[-300:]}")

    def _write_runtime(self) -> None:
        if not hasattr(self, "addresses"):
            return
        self.data.write_runtime(
            Runtime(
                supervisor=os.getpid(),
                api=self.addresses.page,
                nats=self.addresses.nats,
                postgres=without_password(next(iter(self.addresses.postgres_roles.values()))),
                processes={name: member.child.pid for name, member in self.members.items() if member.child},
                demo=self._demo_socket,
            )
        )


def start_or_stop(supervisor: Supervisor) -> None:
    """
    Start *supervisor*; when that fails, end what did start and pass the failure on.
    """
    try:
        supervisor.start()
    except (ConfigError, Unavailable, KeyboardInterrupt):
        supervisor.stop()
        raise
