"""
The contract of a protocol: how sure am I, mask, parse, frame. Pure: bytes in, a message out.

Everything here sees *heads*: the first few hundred bytes of a request and of its response, cut off anywhere. A head may
hold several pipelined messages, or none, when the connection was joined in the middle. So each of the four answers
has to make do with what is there:

- `confidence` compares protocols; it never raises.
- `mask` runs on the observed node, before the first byte leaves it. It never raises, keeps the length, and what it
  does not understand becomes NUL bytes. Masked bytes still parse, and parse to the same endpoint name.
- `parse` runs in protocol-parser on masked bytes. It raises `Malformed` and nothing else.
- `frame` is the strict reader: None means that more bytes are needed, `Malformed` means never.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Final, Literal

import msgspec

from shared.messages.kernel import Outcome, Protocol

MASK: Final = ord("*")
"""What stands in text for a masked byte."""

TEXT_LIMIT: Final = 256
"""The longest text, in characters, that a name or an attribute holds."""


Family = Literal["http", "rpc", "database", "cache", "messaging", "dns", "directory", "encrypted", "other"]
"""What kind of conversation it is: the page, the metrics' names and the judgement of errors go by it."""


class Parsed(msgspec.Struct, frozen=True, kw_only=True):
    """
    One request with its response, as far as their heads tell.
    """

    name: str
    """The endpoint: `GET /users/{id}`, `SELECT orders`, `HGET`, `A example.org`."""
    operation: str
    """The short verb: `GET`, `SELECT`, `HGET`, `A`."""
    outcome: Outcome
    """Judged from the response's head; NO_RESPONSE when there is none."""
    status: int = 0
    """HTTP status code, DNS rcode; 0 where the protocol has no small number."""
    attributes: dict[str, str | int] = {}
    """OpenTelemetry's names."""
    trace_id: str = ""
    """32 hexadecimal digits when the request carried a trace context."""
    parent_span_id: str = ""
    """16 hexadecimal digits when the request carried a trace context."""
    stand_in: bool = False
    """True when these bytes do not tell the endpoint, and *name* only says what kind of request it was."""


class WireProtocol(ABC):
    """
    What meshlens knows about one protocol.
    """

    name: ClassVar[str]
    """OpenTelemetry's word for it."""
    number: ClassVar[Protocol]
    """How the kernel side calls it."""
    specification: ClassVar[str]
    """Where it is laid down."""
    family: ClassVar[Family] = "other"

    @abstractmethod
    def confidence(self, request: bytes, response: bytes) -> float:
        """
        Return how sure it is, 0 to 1, that these heads speak this protocol.
        """

    @abstractmethod
    def mask(self, request: bytes, response: bytes) -> tuple[bytes, bytes]:
        """
        Return both heads with everything overwritten that could be a secret, each as long as it was.
        """

    @abstractmethod
    def parse(self, request: bytes, response: bytes) -> Parsed:
        """
        Return what the heads tell; an empty request (of a pipeline, the kernel keeps one head) gives an empty name.

        Raises:
            Malformed: the request is not of this protocol.
        """

    @abstractmethod
    def frame(self, buffer: bytes, *, response: bool) -> int | None:
        """
        Return how many bytes the first message in *buffer* takes, None when its end is not there yet.

        Raises:
            Malformed: no further byte can make it a message.
        """


def blank(head: bytes) -> bytes:
    """
    Return NUL bytes in place of what nobody understands.
    """
    return bytes(len(head))


def text_of(raw: bytes, limit: int = TEXT_LIMIT) -> str:
    """
    Return *raw* as printable text of at most *limit* characters.
    """
    text = raw[:limit].decode("utf-8", "replace")
    return text if text.isprintable() else "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
