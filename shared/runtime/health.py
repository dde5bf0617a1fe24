"""
How a service is: its state for the supervisor, its counters for Prometheus, over HTTP and on the bus.
"""

from __future__ import annotations

import os
import resource
import time
from importlib import metadata
from typing import TYPE_CHECKING, Final

from aiohttp import web

from shared.errors import ConfigError
from shared.messages.control import ServiceStatus
from shared.runtime import exposition

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class Health:
    """
    What a service says of itself; the service writes the fields, HTTP and the heartbeat read them.
    """

    def __init__(self, service: str, node: str, log: FilteringBoundLogger) -> None:
        self.service: Final = service
        self.node: Final = node
        self.started_ns: Final = time.time_ns()
        self.version: Final = metadata.version("meshlens")
        self.ready = False
        self.lag_s = 0.0
        self.counters: dict[str, int] = {}
        self.lost: dict[str, int] = {}
        self.url = ""
        self.exposed: list[Callable[[], str]] = []
        """What the service adds to /metrics beside its own health."""
        self._waits: dict[str, str] = {}
        self._log: Final = log

    def count(self, name: str, more: int = 1) -> None:
        """
        Add to a counter.
        """
        self.counters[name] = self.counters.get(name, 0) + more

    def lose(self, cause: str, more: int = 1) -> None:
        """
        State a loss.
        """
        self.lost[cause] = self.lost.get(cause, 0) + more

    def waiting(self, what: str, *, key: str = "") -> None:
        """
        Say what is being waited for; an empty *what* says that it is over.
        """
        if what:
            if self._waits.get(key) != what:
                self._log.warning("waiting", what=what)
            self._waits[key] = what
        elif self._waits.pop(key, None) is not None:
            self._log.info("waiting_over", key=key)

    def waiting_for(self, key: str) -> Callable[[str], None]:
        """
        Return the function that says under *key* what is being waited for.
        """
        return lambda what: self.waiting(what, key=key)

    def status(self) -> ServiceStatus:
        """
        Return the heartbeat.
        """
        waits = "; ".join(self._waits.values())
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return ServiceStatus(
            service=self.service,
            node=self.node,
            at_ns=time.time_ns(),
            started_ns=self.started_ns,
            version=self.version,
            state="degraded" if waits and self.ready else "ready" if self.ready else "starting",
            waiting_for=waits,
            lag_s=self.lag_s,
            counters=dict(self.counters),
            lost=dict(self.lost),
            resident_bytes=_resident_bytes(),
            cpu_s=usage.ru_utime + usage.ru_stime,
            health_url=self.url,
        )

    def metrics(self) -> str:
        """
        Return the service's own metrics in Prometheus' text format.
        """
        status = self.status()
        service = {"service": self.service}
        parts = [
            exposition.family(
                "meshlens_up",
                "gauge",
                "1 when the service is ready.",
                [(service, float(status.state == "ready"))],
            ),
            exposition.family(
                "meshlens_lag_seconds",
                "gauge",
                "Age of the oldest message not yet applied.",
                [(service, status.lag_s)],
            ),
            exposition.family(
                "process_resident_memory_bytes",
                "gauge",
                "Resident memory.",
                [(service, status.resident_bytes)],
            ),
            exposition.family("process_cpu_seconds_total", "counter", "Processor time.", [(service, status.cpu_s)]),
            exposition.family(
                "meshlens_lost_total",
                "counter",
                "What was lost, by cause.",
                [({**service, "cause": cause}, value) for cause, value in status.lost.items()],
            ),
        ]
        parts += [
            exposition.family(f"meshlens_{name}_total", "counter", f"{name.replace('_', ' ')}.", [(service, value)])
            for name, value in status.counters.items()
        ]
        return "".join([*parts, *(more() for more in self.exposed)])

    def routes(self) -> list[web.RouteDef]:
        """
        Return /healthz (the process lives), /readyz (it does its work) and /metrics.
        """
        return [
            web.get("/healthz", self._healthz),
            web.get("/readyz", self._readyz),
            web.get("/metrics", self._metrics),
        ]

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.json_response({"service": self.service, "state": self.status().state})

    async def _readyz(self, _request: web.Request) -> web.Response:
        status = self.status()
        return web.json_response(
            {"service": self.service, "state": status.state, "waiting_for": status.waiting_for},
            status=200 if status.state == "ready" else 503,
        )

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(text=self.metrics(), headers={"Content-Type": exposition.CONTENT_TYPE})


async def start_http(application: web.Application, host: str, port: int, service: str) -> tuple[web.AppRunner, str]:
    """
    Serve *application* and return its runner and its address.

    Raises:
        ConfigError: the address cannot be had.
    """
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigError(
            f"{service} cannot listen on {host}:{port}: {error.strerror}; set another port (0 takes a free one)"
        ) from error
    bound = runner.addresses[0]
    return runner, f"http://{bound[0]}:{bound[1]}"


def _resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * PAGE_BYTES
