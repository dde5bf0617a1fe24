"""
The shell of protocol-parser: samples in, spans stored, endpoints named, verdicts sent back.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from services.protocol_parser.detect import Detector
from services.protocol_parser.endpoints import EndpointNames
from services.protocol_parser.spans import Reading, read
from services.protocol_parser.store import Store
from shared import subjects
from shared.messages.l7 import EndpointsNamed, Spans
from shared.runtime import postgres, process
from shared.units import S_NS

if TYPE_CHECKING:
    from services.protocol_parser.config import Settings
    from shared.messages.kernel import SampleBatch
    from shared.runtime.process import Shell

SERVICE: Final = "protocol-parser"


async def serve(shell: Shell, settings: Settings) -> None:
    """
    Read every batch of samples, until the process ends.
    """
    pool = await postgres.open_pool(settings.postgres_dsn, waiting=shell.health.waiting_for("postgres"))
    work = Work(shell, settings, Store(pool, settings.retention_days))
    await work.restore()
    shell.spawn(work.run(), "samples")
    shell.spawn(work.clean_hourly(), "cleaning")
    await process.serving(shell, settings)


class Work:
    """
    The consumer of samples.
    """

    def __init__(self, shell: Shell, settings: Settings, store: Store) -> None:
        self._shell: Final = shell
        self._store: Final = store
        self._max_names: Final = settings.max_endpoints
        self._names: Final = EndpointNames(settings.max_endpoints)
        self._detector: Final = Detector(settings.max_undecided)
        self._waiting: Final = shell.health.waiting_for("postgres")

    async def restore(self) -> None:
        """
        Take up the names that the process before gave.
        """

        async def read_names() -> None:
            for named in await self._store.names(self._max_names):
                self._names.restore(named)

        await postgres.until_done(read_names, waiting=self._waiting)
        self._shell.log.info("names_restored", names=len(self._names))

    async def run(self) -> None:
        """
        Take batches as they come; acknowledge each once its spans are stored and its endpoints are named.
        """
        async for delivery in self._shell.bus.consume(subjects.KERNEL_SAMPLES, SERVICE):
            await self._take(delivery.message)
            await delivery.done()
            self._shell.health.lag_s = max(0.0, (time.time_ns() - delivery.published_ns) / S_NS)

    async def _take(self, batch: SampleBatch) -> None:
        reading = read(batch, self._names, self._detector)
        self._count(batch, reading)
        now_ns = time.time_ns()
        spans = [span for span in reading.spans if self._store.keeps(span, now_ns)]
        await self._publish_names(batch, reading)
        applied = await postgres.until_done(
            lambda: self._store.apply(batch, spans, reading.endpoints), waiting=self._waiting
        )
        for verdict in reading.verdicts:
            await self._shell.bus.emit(subjects.PROTOCOL_VERDICT, verdict)
            self._shell.log.info("protocol_recognised", port=verdict.port, protocol=verdict.protocol.name.lower())
        if not applied:
            self._shell.health.count("batches_delivered_again")
            return
        self._shell.health.count("spans_stored", len(spans))
        self._shell.health.lose("span_out_of_time", len(reading.spans) - len(spans))
        if spans:
            await self._shell.bus.emit(subjects.SPANS, Spans(spans=spans))

    async def _publish_names(self, batch: SampleBatch, reading: Reading) -> None:
        """
        Publish until NATS has them: before they are stored, so that a crash between leads to a repetition, not a gap.
        """
        if not reading.endpoints:
            return
        message = EndpointsNamed(endpoints=reading.endpoints)
        key = f"endpoints-{batch.node}-{batch.epoch}-{batch.number}"
        await self._shell.bus.publish_surely(subjects.ENDPOINTS, message, key=key)
        self._shell.health.count("endpoints_named", len(reading.endpoints))

    def _count(self, batch: SampleBatch, reading: Reading) -> None:
        health = self._shell.health
        health.count("samples", len(batch.samples))
        health.count("verdicts", len(reading.verdicts))
        for protocol, count in reading.malformed.items():
            health.lose(f"malformed_{protocol}", count)
        health.lost["malformed_message"] = self._shell.bus.malformed
        health.counters["endpoint_names_forgotten"] = self._names.forgotten
        health.counters["undecided_ports_forgotten"] = self._detector.forgotten

    async def clean_hourly(self) -> None:
        """
        Drop the days that are over, each hour.
        """
        await postgres.hourly(self._clean, waiting=self._waiting)

    async def _clean(self) -> None:
        dropped = await self._store.drop_before(time.time_ns(), self._max_names)
        if dropped:
            self._shell.log.info("days_dropped", days=dropped)
