"""
Does the kernel drop packets of a relation, for a reason that means harm?

An event rule: a drop is a drop, whatever is usual.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from services.anomaly_detector import wording
from services.anomaly_detector.detectors._base import Detector, Judged, Nothing, Rules
from services.anomaly_detector.finding import Finding, Grade
from services.anomaly_detector.observation import RELATION

if TYPE_CHECKING:
    from services.anomaly_detector.observation import Observation

HARMLESS: Final = frozenset(
    {
        "not_specified",  # kernels before 5.17 say nothing else, of freed packets that were delivered too
        "consumed",
        "no_socket",  # seen as a refused connection
        "socket_filter",
        "tcp_abort_on_data",
        "tcp_ack_unsent_data",
        "tcp_close",
        "tcp_fastopen",
        "tcp_flags",
        "tcp_invalid_ack_sequence",
        "tcp_invalid_end_sequence",
        "tcp_invalid_sequence",
        "tcp_invalid_syn",
        "tcp_ofo_drop",
        "tcp_ofo_queue_prune",
        "tcp_ofomerge",
        "tcp_old_ack",
        "tcp_old_data",
        "tcp_old_sequence",
        "tcp_overwindow",
        "tcp_reset",
        "tcp_rfc7323_paws",
        "tcp_rfc7323_paws_ack",
        "tcp_too_old_ack",
        "tcp_zerowindow",
    }
)

GATES: Final = (
    # grade, least packets, least share of segments
    (Grade.ORANGE, 10, 0.01),
    (Grade.YELLOW, 3, 0.001),
)


class Drops:
    """
    Packets that the kernel dropped.
    """

    signals = frozenset({"drops"})
    kinds = frozenset({RELATION})
    memory = Nothing

    def judge(self, seen: Observation, memory: Any, rules: Rules) -> Judged:  # noqa: ARG002 - needs no history
        """
        Return one finding for a relation with packets.
        """
        harmful = {reason: n for reason, n in seen.tcp.drops.items() if reason not in HARMLESS}
        total = sum(harmful.values())
        packets = seen.tcp.segments_sent + total
        if not packets:
            return Judged((), memory)
        ratio = total / packets
        grade = next((g for g, least, share in GATES if total >= least and ratio >= share), Grade.CALM)
        worst = max(harmful, key=lambda reason: harmful[reason], default="")
        finding = Finding(
            signal="drops",
            grade=grade,
            value=ratio,
            expected=GATES[-1][2],
            unit="ratio",
            text=f"the kernel dropped {total} packets, {wording.share(ratio)}, mostly for {worst or 'no reason'}",
        )
        return Judged((finding,), memory)


DETECTOR: Detector = Drops()
