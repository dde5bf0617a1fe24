"""
AMQP 0-9-1, as RabbitMQ speaks it.

https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf

Frames of methods, content headers and bodies on numbered channels. A method that asks is answered by its `-ok` on the
same channel, or by the Close of the channel or connection, whose reply code is the status. Publications are answered by
the broker's Ack or Nack on channels that confirm, else by nobody, as acknowledgements and deliveries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from shared.errors import Malformed
from shared.messages.kernel import Outcome, Protocol
from shared.protocols._base import Parsed, WireProtocol
from shared.protocols._collapse import ID, cover, is_id, may_stay

if TYPE_CHECKING:
    from collections.abc import Iterator

GREETING: Final = b"AMQP\0\0\x09\x01"
END: Final = 0xCE
METHOD: Final = 1
KINDS: Final = frozenset((1, 2, 3, 8))
FRAME_LIMIT: Final = 16 * 1024 * 1024
NAME_LIMIT: Final = 160
METHODS: Final = {
    (10, 10): "Connection.Start", (10, 11): "Connection.StartOk", (10, 20): "Connection.Secure",
    (10, 21): "Connection.SecureOk", (10, 30): "Connection.Tune", (10, 31): "Connection.TuneOk",
    (10, 40): "Connection.Open", (10, 41): "Connection.OpenOk", (10, 50): "Connection.Close",
    (10, 51): "Connection.CloseOk", (10, 60): "Connection.Blocked", (10, 61): "Connection.Unblocked",
    (20, 10): "Channel.Open", (20, 11): "Channel.OpenOk", (20, 20): "Channel.Flow", (20, 21): "Channel.FlowOk",
    (20, 40): "Channel.Close", (20, 41): "Channel.CloseOk",
    (40, 10): "Exchange.Declare", (40, 11): "Exchange.DeclareOk", (40, 20): "Exchange.Delete",
    (40, 21): "Exchange.DeleteOk", (40, 30): "Exchange.Bind", (40, 31): "Exchange.BindOk",
    (40, 40): "Exchange.Unbind", (40, 51): "Exchange.UnbindOk",
    (50, 10): "Queue.Declare", (50, 11): "Queue.DeclareOk", (50, 20): "Queue.Bind", (50, 21): "Queue.BindOk",
    (50, 30): "Queue.Purge", (50, 31): "Queue.PurgeOk", (50, 40): "Queue.Delete", (50, 41): "Queue.DeleteOk",
    (50, 50): "Queue.Unbind", (50, 51): "Queue.UnbindOk",
    (60, 10): "Basic.Qos", (60, 11): "Basic.QosOk", (60, 20): "Basic.Consume", (60, 21): "Basic.ConsumeOk",
    (60, 30): "Basic.Cancel", (60, 31): "Basic.CancelOk", (60, 40): "Publish", (60, 50): "Return",
    (60, 60): "Deliver", (60, 70): "Basic.Get", (60, 71): "Basic.GetOk", (60, 72): "Basic.GetEmpty",
    (60, 80): "Basic.Ack", (60, 90): "Basic.Reject", (60, 110): "Basic.Recover", (60, 111): "Basic.RecoverOk",
    (60, 120): "Basic.Nack", (85, 10): "Confirm.Select", (85, 11): "Confirm.SelectOk",
    (90, 10): "Tx.Select", (90, 11): "Tx.SelectOk", (90, 20): "Tx.Commit", (90, 21): "Tx.CommitOk",
    (90, 30): "Tx.Rollback", (90, 31): "Tx.RollbackOk",
}  # fmt: skip
NAMED: Final = frozenset(
    key for key in METHODS if (key[0] in (40, 50) and key[1] % 10 == 0) or key in ((60, 20), (60, 70))
)
"""Methods whose first argument, behind a reserved one, is the queue or exchange."""
CLOSES: Final = frozenset(((10, 50), (20, 40)))
RETURN: Final = (60, 50)
BLOCKED: Final = (10, 60)
NACK: Final = (60, 120)
ROUTED: Final = {(60, 40): 2, RETURN: 2, (60, 60): 0}
"""Methods with exchange and routing key, and the bytes before what stands in front of them."""
DELIVER: Final = (60, 60)
GET, GET_OK = (60, 70), (60, 71)
AGAIN: Final = {DELIVER: "Redeliver", GET: "Basic.GetAgain"}
"""What is done when the message was delivered before."""
PUSHED: Final = frozenset(((60, 60), (10, 61), (60, 80), (60, 120)))
SERVERS_FAULTS: Final = frozenset((320, 506, 540, 541, 311, 402))
"""Reply codes that are not the client's: forced close, no resources, not implemented, internal error."""


class Frame(msgspec.Struct, frozen=True):
    """
    One frame of a head, perhaps cut off.
    """

    kind: int
    start: int
    end: int
    """Where it ends on the wire, with its end mark."""
    method: tuple[int, int]
    """Class and method; zeros where it is no method, or that is not there."""


class Amqp(WireProtocol):
    """
    Methods with their answers, publications and deliveries.
    """

    name = "amqp"
    number = Protocol.AMQP
    specification = "https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf"

    def confidence(self, request: bytes, response: bytes) -> float:
        """
        Return how sure it is: the greeting, or frames of known methods on both sides.
        """
        answered = next(_frames(response), None)
        if response and (answered is None or answered.method == (0, 0)):
            return 0.0
        if request.startswith(GREETING):
            return 0.98
        asked = next(_frames(request), None)
        if asked is None or asked.method == (0, 0):
            return 0.0
        whole = asked.end <= len(request) or response
        return 0.95 if answered and whole else 0.8 if asked.end <= len(request) else 0.5

    def mask(self, request: bytes, response: bytes) -> tuple[bytes, bytes]:
        """
        Return frames with their methods and the patterns of names; arguments, headers and bodies are gone.
        """
        return _mask(request), _mask(response)

    def parse(self, request: bytes, response: bytes) -> Parsed:
        """
        Return the first method of the head, and how it was answered.
        """
        attributes: dict[str, str | int] = {"messaging.system": "rabbitmq"}
        asked, answered = next(_frames(request), None), next(_frames(response), None)
        greeting = request.startswith(GREETING)
        if request and not greeting and (asked is None or asked.method == (0, 0)):
            raise Malformed("amqp: no method")
        again = _again(request, asked) or _again(response, answered)
        name = "Connection.Start" if greeting else _named(request, asked, attributes, again=again) if asked else ""
        status, outcome = 0, Outcome.OK if response else Outcome.NO_RESPONSE
        if answered is not None:
            status, outcome = _judged(response, answered)
            outcome = Outcome.SERVER_ERROR if answered.method == NACK else outcome
        elif asked is not None and not greeting and not response:
            status, judged = _judged(request, asked)
            outcome = judged if asked.method in PUSHED or judged is not Outcome.OK else outcome
        if status:
            attributes["amqp.reply_code"] = status
        if outcome not in (Outcome.OK, Outcome.NO_RESPONSE):
            refused = "nack" if answered is not None and answered.method == NACK else "blocked"
            attributes["error.type"] = str(status) if status else refused
        return Parsed(
            name=name, operation=name.partition(" ")[0], outcome=outcome, status=status, attributes=attributes
        )

    def frame(self, buffer: bytes, *, response: bool) -> int | None:
        """
        Return the length of the first frame, or of the greeting.
        """
        del response  # both sides frame alike
        if buffer[:8] == GREETING[: len(buffer)]:
            return 8 if len(buffer) >= 8 else None
        if buffer[0] not in KINDS:
            raise Malformed(f"amqp: no frame begins with byte {buffer[0]}")
        if len(buffer) < 7:
            return None
        length = int.from_bytes(buffer[3:7], "big") + 8
        if length > FRAME_LIMIT:
            raise Malformed(f"amqp: a frame of {length} bytes")
        if len(buffer) >= length and buffer[length - 1] != END:
            raise Malformed("amqp: a frame without its end")
        return length if len(buffer) >= length else None


PROTOCOL: WireProtocol = Amqp()


def _frames(head: bytes) -> Iterator[Frame]:
    """
    Yield the frames in *head*, the last one perhaps cut off; end at the first byte that fits none.
    """
    at = 8 if head.startswith(GREETING) else 0
    while at + 7 <= len(head) and head[at] in KINDS:
        end = at + 8 + int.from_bytes(head[at + 3 : at + 7], "big")
        if end - at > FRAME_LIMIT or (end <= len(head) and head[end - 1] != END):
            return
        method = (0, 0)
        if head[at] == METHOD:
            method = (int.from_bytes(head[at + 7 : at + 9], "big"), int.from_bytes(head[at + 9 : at + 11], "big"))
            if end - at < 12 or method not in METHODS:
                return
        yield Frame(head[at], at, end, method)
        at = end


def _short(head: bytes, at: int, frame: Frame) -> tuple[int, int]:
    """
    Return start and end of the short text at *at*; an end beyond the head when it is not whole.
    """
    if at >= min(len(head), frame.end - 1):
        return at + 1, len(head) + 1
    end = at + 1 + head[at]
    return at + 1, end if end < frame.end else len(head) + 1


def _names(head: bytes, frame: Frame) -> list[tuple[int, int]]:
    """
    Return where the names in the arguments lie that tell the endpoint.
    """
    at = frame.start + 11
    if frame.method in NAMED:
        return [_short(head, at + 2, frame)]
    if frame.method not in ROUTED:
        return []
    at += ROUTED[frame.method]
    if frame.method != (60, 40):
        at = _short(head, at, frame)[1] + (9 if frame.method == (60, 60) else 0)
    exchange = _short(head, at, frame)
    return [exchange, _short(head, exchange[1], frame)]


def _pattern(name: bytes) -> str:
    return ".".join(map(_word, name.split(b".")))[:NAME_LIMIT]


def _word(word: bytes) -> str:
    if not is_id(word):
        return word.decode("ascii")
    return ID if len(word) > 1 or word.isdigit() else "*"  # which is what covers one letter, and a pattern of its own


def _redelivered_at(head: bytes, frame: Frame) -> int:
    """
    Return where the method says whether the message was delivered before, -1 when it does not, or that is not there.
    """
    at = frame.start + 19
    if frame.method == DELIVER:
        at = _short(head, frame.start + 11, frame)[1] + 8
    return at if frame.method in (DELIVER, GET_OK) and at < min(frame.end - 1, len(head)) else -1


def _again(head: bytes, frame: Frame | None) -> bool:
    at = _redelivered_at(head, frame) if frame else -1
    return at >= 0 and bool(head[at] & 1)


def _named(head: bytes, frame: Frame, attributes: dict[str, str | int], *, again: bool) -> str:
    verb = METHODS[frame.method]
    if again and frame.method in AGAIN:
        verb = AGAIN[frame.method]
        attributes["messaging.rabbitmq.message.redelivered"] = 1
    attributes["messaging.operation.name"] = verb
    places = _names(head, frame)
    if not places or any(end > len(head) for _, end in places):
        return verb
    pattern = "/".join(_pattern(head[start:end]) for start, end in places)
    attributes["messaging.destination.name"] = pattern
    return f"{verb} {pattern}"


def _judged(head: bytes, frame: Frame) -> tuple[int, Outcome]:
    if frame.method == BLOCKED:
        return 0, Outcome.SERVER_ERROR
    if frame.method not in CLOSES and frame.method != RETURN:
        return 0, Outcome.OK
    status = int.from_bytes(head[frame.start + 11 : min(frame.start + 13, len(head))], "big")
    if status in (0, 200):
        return status, Outcome.OK
    return status, Outcome.SERVER_ERROR if status in SERVERS_FAULTS else Outcome.CLIENT_ERROR


def _mask(head: bytes) -> bytes:
    """
    Build the masked head out of what is understood; all the rest stays NUL.
    """
    out = bytearray(len(head))
    if head.startswith(GREETING):
        out[:8] = GREETING
    for frame in _frames(head):
        kept = frame.start + (11 if frame.kind == METHOD else 7)
        if frame.method in CLOSES or frame.method == RETURN:
            kept += 2
        out[frame.start : min(kept, len(out))] = head[frame.start : min(kept, len(out))]
        if frame.method == RETURN or frame.method == (60, 60):
            at = frame.start + 11 + ROUTED[frame.method]
            out[at : at + 1] = head[at : at + 1]
        if (at := _redelivered_at(head, frame)) >= 0:
            out[at] = head[at] & 1
        for start, end in _names(head, frame):
            if start > len(head):
                continue
            stop = min(end, len(head))
            out[start - 1 : stop] = head[start - 1 : stop]
            at = start
            for word in head[start:stop].split(b"."):
                if not may_stay(word) and word != b"*":
                    cover(out, at, at + len(word))
                at += len(word) + 1
        if frame.end <= len(head):
            out[frame.end - 1] = END
    return bytes(out)
