"""
Every NATS subject, bound to the one message type that may travel on it.

`mesh.<layer>.<fact>`, lower case, no ids in the name. Subjects are documented in `docs/reference/asyncapi.yaml`,
which is generated from this file.
"""

from __future__ import annotations

from typing import Final, Generic, TypeVar

import msgspec

from shared.errors import Malformed
from shared.messages import alert, anomaly, control, kernel, l7, topology

M = TypeVar("M")
R = TypeVar("R")


class Subject(Generic[M]):
    """
    A subject, the one message type that may travel on it, and the services that must not miss a message.

    JetStream keeps a message until each service of *kept_for* has applied it; anybody may listen in with plain NATS.
    Where nobody is named, the subject is plain NATS: worthless a moment later.
    """

    def __init__(
        self,
        name: str,
        message: type[M],
        says: str,
        *,
        kept_for: tuple[str, ...] = (),
        limit_bytes: int = 256 * 1024 * 1024,
        refuse_when_full: bool = False,
    ) -> None:
        self.name: Final = name
        self.message: Final = message
        self.says: Final = says
        """One sentence for the reference."""
        self.kept_for: Final = kept_for
        self.limit_bytes: Final = limit_bytes
        """The most that JetStream holds, in bytes."""
        self.refuse_when_full: Final = refuse_when_full
        """True: the publisher is refused and keeps the message; False: the oldest message makes room."""
        self._decoder: Final = msgspec.msgpack.Decoder(message)
        self._encoder: Final = msgspec.msgpack.Encoder()

    @property
    def stream(self) -> str:
        """
        Return the name of the JetStream stream: `MESH_KERNEL_BATCH`.
        """
        return self.name.upper().replace(".", "_").replace("-", "_")

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
        self.ask: Final = Subject(name, message, says)
        self.answer: Final = Subject(f"{name}.reply", reply, f"The answer to {name}.")
        self.name: Final = name
        self.says: Final = says


KERNEL_BATCH: Final = Subject(
    "mesh.kernel.batch",
    kernel.KernelBatch,
    "Aggregates drained from one node's kernel.",
    kept_for=("topology-builder",),
    limit_bytes=1024 * 1024 * 1024,
    refuse_when_full=True,
)
KERNEL_SAMPLES: Final = Subject(
    "mesh.kernel.samples",
    kernel.SampleBatch,
    "Masked samples of single requests.",
    kept_for=("protocol-parser",),
)
PROTOCOL_VERDICT: Final = Subject(
    "mesh.l7.verdict",
    kernel.ProtocolVerdict,
    "What a connection speaks that the kernel could not name.",
)
ENDPOINTS: Final = Subject(
    "mesh.l7.endpoints", l7.EndpointsNamed, "Names behind endpoint hashes.", kept_for=("topology-builder",)
)
SPANS: Final = Subject("mesh.l7.spans", l7.Spans, "Single requests, parsed.")
WINDOW: Final = Subject(
    "mesh.topology.window",
    topology.TopologyWindow,
    "The figures of each closed window.",
    kept_for=("anomaly-detector", "alert-manager"),
)
LIVE_WINDOW: Final = Subject(
    "mesh.topology.live",
    topology.TopologyWindow,
    "The last ten seconds, sent on every tick.",
)
CHANGE: Final = Subject("mesh.topology.change", topology.TopologyChange, "Something appeared on the map or vanished.")
VERDICTS: Final = Subject(
    "mesh.anomaly.verdicts",
    anomaly.Verdicts,
    "The colours after each window, with reasons.",
    kept_for=("alert-manager",),
)
ALERT: Final = Subject("mesh.alert.changed", alert.AlertChanged, "An alert changed its state.")
STATUS: Final = Subject(
    "mesh.control.status",
    control.ServiceStatus,
    "Each service's heartbeat, every two seconds.",
)
PROBES: Final = Subject(
    "mesh.control.probes",
    control.Probes,
    "The probes of each node, every ten seconds.",
)

SWITCH_PROBE: Final = Request(
    "mesh.control.switch-probe", control.ProbeCommand, control.ProbeReply, "Switch a probe on or off."
)
COMMAND_ALERT: Final = Request(
    "mesh.alert.command", alert.AlertCommand, alert.CommandReply, "Acknowledge or silence alerts."
)

SUBJECTS: Final[list[Subject[object]]] = [item for item in list(globals().values()) if isinstance(item, Subject)]
REQUESTS: Final[list[Request[object, object]]] = [
    item for item in list(globals().values()) if isinstance(item, Request)
]
