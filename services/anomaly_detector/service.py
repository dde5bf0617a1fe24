"""
The shell of anomaly-detector: windows in, verdicts out, history kept.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from services.anomaly_detector import detectors, state
from services.anomaly_detector.detectors._base import Detector
from services.anomaly_detector.judge import Judge, Judgement, Limits
from services.anomaly_detector.store import Store
from shared import subjects
from shared.discover import extensions
from shared.errors import Malformed
from shared.runtime import postgres, process, windows
from shared.units import S_NS

if TYPE_CHECKING:
    from services.anomaly_detector.config import Settings
    from shared.messages.topology import TopologyWindow
    from shared.runtime.process import Shell

DAY_S: Final = 86400.0


async def serve(shell: Shell, settings: Settings) -> None:
    """
    Judge every closed window, until the process ends.
    """
    pool = await postgres.open_pool(settings.postgres_dsn, waiting=shell.health.waiting_for("postgres"))
    found = extensions(detectors, "DETECTOR", Detector)  # type: ignore[type-abstract]  # only used for isinstance
    limits = Limits(
        learning_s=settings.learning_s,
        minimum_windows=settings.minimum_windows,
        objective_ratio=settings.objective_ratio,
        new_normal_s=settings.new_normal_s,
    )
    work = Work(shell, settings, Store(pool), Judge(found, limits))
    await work.restore(found)
    shell.spawn(work.run(), "windows")
    shell.spawn(work.clean_hourly(), "cleaning")
    await process.serving(shell, settings)


class Work:
    """
    The consumer of windows.
    """

    def __init__(self, shell: Shell, settings: Settings, store: Store, judge: Judge) -> None:
        self._shell: Final = shell
        self._settings: Final = settings
        self._store: Final = store
        self._judge: Final = judge
        self._judged_ns = 0
        self._saved_ns = 0
        self._waiting: Final = shell.health.waiting_for("postgres")

    async def restore(self, found: dict[str, Detector]) -> None:
        """
        Take up the history where the process before left it.
        """

        async def read() -> None:
            self._judged_ns = await self._store.progress_ns()
            for data in await self._store.baselines():
                try:
                    entity = state.decode(data, found)
                except Malformed as error:
                    self._shell.health.lose("damaged_baselines")
                    self._shell.log.warning("baseline_damaged", reason=str(error))
                    continue
                self._judge.entities[entity.kind, entity.entity] = entity

        await postgres.until_done(read, waiting=self._waiting)
        self._shell.log.info("history_restored", entities=len(self._judge.entities))

    async def run(self) -> None:
        """
        Judge windows as they come; acknowledge each once its verdicts are out and its effects are stored.
        """
        await windows.each_closed(self._shell, self._judged_ns, self._take)

    async def _take(self, window: TopologyWindow) -> None:
        began = time.perf_counter_ns()
        judgement = self._judge.judge(window)
        self._shell.health.count("judging_us", (time.perf_counter_ns() - began) // 1000)
        verdicts = judgement.verdicts
        await self._shell.bus.publish_surely(subjects.VERDICTS, verdicts, key=f"verdicts-{verdicts.window_end_ns}")
        everything = not self._saved_ns or window.end_ns - self._saved_ns >= self._settings.snapshot_s * S_NS
        baselines = self._baselines(judgement, everything)
        await postgres.until_done(
            lambda: self._store.apply(judgement, baselines, all_verdicts=everything), waiting=self._waiting
        )
        if everything:
            self._saved_ns = window.end_ns
        for change in judgement.changes:
            self._shell.log.debug(
                "colour_changed",
                entity=change.entity,
                own=change.own.name,
                inherited=change.inherited.name,
                culprits=change.culprits,
            )

    def _baselines(self, judgement: Judgement, everything: bool) -> list[tuple[str, str, bytes]]:
        """
        Return what of the history must be stored now: *everything*, or what has changed its colour.
        """
        changed = {(one.kind, one.entity) for one in judgement.changes}
        changed |= {(one.kind, one.entity) for one in judgement.episodes}
        return [
            (kind, entity, state.encode(self._judge.entities[kind, entity]))
            for kind, entity in (sorted(self._judge.entities) if everything else sorted(changed))
            if (kind, entity) in self._judge.entities
        ]

    async def clean_hourly(self) -> None:
        """
        Drop what is older than the retention, each hour.
        """
        await postgres.hourly(self._clean, waiting=self._waiting)

    async def _clean(self) -> None:
        await self._store.drop_before(time.time_ns() - int(self._settings.retention_days * DAY_S) * S_NS)
