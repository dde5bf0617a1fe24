"""
The asyncio shell of probe-manager: each tick it takes the kernel's aggregates, publishes them, and only then lets go.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from services.probe_manager import draining, verdicts
from services.probe_manager.decode import SAMPLE_CAUSES
from services.probe_manager.node import Node
from services.probe_manager.syscalls import let_others_first
from shared import protocols, subjects
from shared.errors import ConfigError, Unavailable
from shared.messages.control import ProbeReply
from shared.messages.kernel import SampleBatch
from shared.runtime.process import serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from services.probe_manager.config import ProbeManager
    from shared.messages.control import ProbeCommand
    from shared.messages.kernel import KernelBatch, ProtocolVerdict, Sample
    from shared.runtime.process import Shell

T = TypeVar("T")

PROBES_EVERY_S: Final = 10.0
LIBRARIES_EVERY_S: Final = 0.5
"""How long a new process may go on before its TLS library is looked for."""
RETRY_S: Final = 0.5
TURN_NS: Final = 100_000_000
"""Of this process, on the processor, as long as the kernel allows: whose turn is shorter goes before."""


def masked(sample: Sample) -> Sample:
    """
    Return *sample* as it may leave the node: secrets are overwritten, and what nobody can mask is left out.
    """
    request, response = protocols.mask(sample.protocol, sample.request, sample.response)
    return msgspec.structs.replace(sample, request=request, response=response)


class ProbeService:
    """
    Ticks, answers, and remembers what was left out.
    """

    def __init__(self, shell: Shell, settings: ProbeManager, node: Node) -> None:
        self._shell: Final = shell
        self._settings: Final = settings
        self._node: Final = node
        self._kernel_free: Final = asyncio.Lock()
        """The kernel side is asked one thing at a time."""
        self._left_out = 0
        self._finishing = False
        """Protocols are being brought in."""
        self._thread: Final = ThreadPoolExecutor(1, "drain")

    def close(self) -> None:
        """
        Wait until nothing is being drained, and let nothing be drained any more.
        """
        self._thread.shutdown(cancel_futures=True)

    async def run(self) -> None:
        """
        Drain on every tick, for ever; a tick that takes too long is followed at once by the next.
        """
        due = time.monotonic()
        while True:
            due = max(due + self._settings.tick_s, time.monotonic())
            await self._drain()
            await self._samples()
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def finish(self) -> None:
        """
        Bring in the protocols that the start has left for later.
        """
        started = time.monotonic()
        self._finishing = True
        try:
            await asyncio.to_thread(self._node.finish)
            await asyncio.to_thread(self._node.prepare)
        except (ConfigError, OSError) as refusal:
            self._shell.log.error("protocols_refused", error=str(refusal)[:2000])
            return
        finally:
            self._finishing = False
        for protocol, why in self._node.refused.items():
            self._shell.log.error("protocol_refused", protocol=protocol, error=why[:2000])
        self._shell.log.info("protocols_ready", seconds=round(time.monotonic() - started, 1))

    async def show_probes(self) -> None:
        """
        Publish the state of the probes now and then.
        """
        while True:
            async with self._kernel_free:
                probes = await asyncio.to_thread(self._node.probes)
            await self._shell.bus.emit(subjects.PROBES, probes)
            await asyncio.sleep(PROBES_EVERY_S)

    async def find_libraries(self) -> None:
        """
        Look for the TLS libraries of new processes, for ever.
        """
        while True:
            if not self._finishing:
                async with self._kernel_free:
                    await asyncio.to_thread(self._node.find_libraries)
            if self._node.kernel.unfinished and not self._finishing:
                self._shell.spawn(self.finish(), "protocols")
            await asyncio.sleep(LIBRARIES_EVERY_S)

    async def switch(self, command: ProbeCommand) -> ProbeReply:
        """
        Switch a probe on or off.
        """
        if command.node and command.node != self._settings.node_name():
            return ProbeReply(ok=False, error=f"this is {self._settings.node_name()}, not {command.node}")
        async with self._kernel_free:
            try:
                await asyncio.to_thread(self._node.switch, command.probe, command.on)
            except (ConfigError, OSError) as refusal:
                return ProbeReply(ok=False, error=str(refusal))
            probes = await asyncio.to_thread(self._node.probes)
        self._shell.spawn(self.finish(), "protocols")
        self._shell.log.info("probe_switched", probe=command.probe, on=command.on)
        await self._shell.bus.emit(subjects.PROBES, probes)
        return ProbeReply(ok=True, probes=probes)

    async def learn(self, verdict: ProtocolVerdict) -> None:
        """
        Tell the kernel side what a connection speaks that it could not name.
        """
        if verdict.node != self._settings.node_name() or verdict.epoch != self._node.log().epoch:
            return
        async with self._kernel_free:
            if self._node.kernel.has_map(verdicts.MAP):
                self._node.kernel.map(verdicts.MAP).write(*verdicts.entry(verdict))
                self._shell.health.count("verdicts_applied")

    async def _aside(self, work: Callable[..., T], *values: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *values)

    async def _drain(self) -> None:
        async with self._kernel_free:
            batches = await self._aside(self._node.drain)
        self._shell.health.lag_s = max(0.0, (time.time_ns() - batches[0].start_ns) / 1e9)
        for batch in batches:
            if not await self._publish(batch):
                return
        async with self._kernel_free:
            await self._aside(self._node.stored, len(batches))
        self._tell(batches)

    async def _publish(self, batch: KernelBatch) -> bool:
        key = f"{batch.node}-{batch.epoch}-{batch.number}"
        try:
            await self._shell.bus.publish(subjects.KERNEL_BATCH, batch, key=key)
        except Unavailable as error:
            self._shell.health.waiting(f"NATS to store what the kernel counted ({error})", key="publish")
            await asyncio.sleep(RETRY_S)
            return False
        self._shell.health.waiting("", key="publish")
        return True

    def _tell(self, batches: list[KernelBatch]) -> None:
        health = self._shell.health
        health.count("batches_published", len(batches))
        health.counters["series_published"] = health.counters.get("series_published", 0) + sum(
            len(batch.l7) + len(batch.l4) for batch in batches
        )
        for cause, count in batches[0].lost.items():
            health.lose(cause, count)

    async def _samples(self) -> None:
        grant = int(self._settings.samples_per_s * self._settings.tick_s)
        async with self._kernel_free:
            found = await self._aside(self._node.samples, grant)
        for part in draining.sample_parts(found):
            await self._publish_samples(part)

    async def _publish_samples(self, samples: list[Sample]) -> None:
        batch = SampleBatch(
            node=self._settings.node_name(),
            epoch=self._node.log().epoch,
            number=time.time_ns(),
            samples=[masked(sample) for sample in samples],
            left_out=self._left_out,
        )
        try:
            await self._shell.bus.publish(subjects.KERNEL_SAMPLES, batch)
        except Unavailable:
            self._left_out += len(samples)
            self._shell.health.lose("samples_not_stored", len(samples))
        else:
            self._left_out = 0
            self._shell.health.count("samples_published", len(samples))


async def serve(shell: Shell, settings: ProbeManager) -> None:
    """
    Load the probes, and serve until a signal ends it; a clean end leaves nothing in the kernel.
    """
    try:
        let_others_first(TURN_NS)
    except OSError as refusal:
        shell.log.warning("others_not_first", error=str(refusal))
    shell.health.waiting("its probes to be compiled and loaded", key="start")
    node = await asyncio.to_thread(Node, settings)
    service = ProbeService(shell, settings, node)
    try:
        await asyncio.to_thread(node.start)
        shell.health.waiting("", key="start")
        shell.log.info("attached", adopted=node.kernel.adopted, probes=sorted(node.kernel.probes))
        await shell.bus.serve(subjects.SWITCH_PROBE, service.switch)
        await shell.bus.listen(subjects.PROTOCOL_VERDICT, service.learn)
        shell.spawn(service.run(), "drain")
        shell.spawn(service.finish(), "protocols")
        shell.spawn(service.show_probes(), "probes")
        shell.spawn(service.find_libraries(), "libraries")
        await serving(shell, settings)
    finally:
        service.close()
        node.close(remove=True)


__all__ = ["SAMPLE_CAUSES", "ProbeService", "serve"]
