"""
Every NATS subject, bound to the one message type that may travel on it.

`mesh.<layer>.<fact>`, lower case, no ids in the name. Facts travel in JetStream and are kept until they are applied;
`live` subjects are plain NATS, for what is worthless a moment later.
"""

from __future__ import annotations

from typing import Final, Generic, TypeVar

import msgspec

from shared.errors import Malformed
from shared.messages import alert, anomaly, control, kernel, l7, topology

M = TypeVar("M")
R = TypeVar("R")

STREAM: Final = "MESH"
"""The JetStream stream that holds every fact."""


class Subject(Generic[M]):
    """
    A subject, the one message type that may travel on it, and whether JetStream keeps it.
    """

    def __init__(self, name: str, message: type[M], says: str, *, kept: bool) -> None:
        self.name: Final = name
        self.message: Final = message
        self.says: Final = says
        """One sentence for the reference."""
        self.kept: Final = kept
        self._decoder: Final = msgspec.msgpack.Decoder(message)
        self._encoder: Final = msgspec.msgpack.Encoder()

    def encode(self, message: M) -> bytes:
        """
        Return *message* in MessagePack.
        """
        return self._encoder.encode(message)

    def decode(self, data: bytes) -> M:
        """
        Return the message in *data*.

        Raises:
            Malformed: *data* is not such a message; the text says where.
        """
        try:
            return self._decoder.decode(data)
        except msgspec.DecodeError as error:
            raise Malformed(f"{self.name}: {error}") from error


class Request(Generic[M, R]):
    """
    A question with an answer.
    """

    def __init__(self, name: str, message: type[M], reply: type[R], says: str) -> None:
        self.ask: Final = Subject(name, message, says, kept=False)
        self.answer: Final = Subject(f"{name}.reply", reply, f"The answer to {name}.", kept=False)
        self.name: Final = name
        self.says: Final = says


KERNEL_BATCH: Final = Subject(
    "mesh.kernel.batch", kernel.KernelBatch, "Aggregates drained from one node's kernel.", kept=True
)
KERNEL_SAMPLES: Final = Subject(
    "mesh.kernel.samples", kernel.SampleBatch, "Masked samples of single requests.", kept=True
)
PROTOCOL_VERDICT: Final = Subject(
    "mesh.l7.verdict",
    kernel.ProtocolVerdict,
    "What a connection speaks that the kernel could not name.",
    kept=False,
)
ENDPOINTS: Final = Subject(
    "mesh.l7.endpoints", l7.EndpointsNamed, "Names behind endpoint hashes.", kept=True
)
SPANS: Final = Subject("mesh.l7.spans", l7.Spans, "Single requests, parsed.", kept=True)
WINDOW: Final = Subject(
    "mesh.topology.window", topology.TopologyWindow, "The figures of each closed window.", kept=True
)
LIVE_WINDOW: Final = Subject(
    "mesh.topology.live", topology.TopologyWindow, "The last ten seconds, sent on every tick.", kept=False
)
CHANGE: Final = Subject(
    "mesh.topology.change", topology.TopologyChange, "Something appeared on the map or vanished.", kept=True
)
VERDICTS: Final = Subject(
    "mesh.anomaly.verdicts", anomaly.Verdicts, "The colours after each window, with reasons.", kept=True
)
ALERT: Final = Subject("mesh.alert.changed", alert.AlertChanged, "An alert changed its state.", kept=True)
STATUS: Final = Subject(
    "mesh.control.status", control.ServiceStatus, "Each service's heartbeat, every two seconds.", kept=False
)
PROBES: Final = Subject(
    "mesh.control.probes", control.Probes, "The probes of each node, every ten seconds.", kept=False
)

SWITCH_PROBE: Final = Request(
    "mesh.control.switch-probe", control.ProbeCommand, control.ProbeReply, "Switch a probe on or off."
)
COMMAND_ALERT: Final = Request(
    "mesh.alert.command", alert.AlertCommand, alert.CommandReply, "Acknowledge or silence alerts."
)

SUBJECTS: Final[list[Subject[object]]] = [
    item for item in list(globals().values()) if isinstance(item, Subject)
]
REQUESTS: Final[list[Request[object, object]]] = [
    item for item in list(globals().values()) if isinstance(item, Request)
]
