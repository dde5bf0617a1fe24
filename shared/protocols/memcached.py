"""
Memcached: text, meta and binary protocol.

https://github.com/memcached/memcached/blob/master/doc/protocol.txt

Keys never leave the node. A text reply has the number that the binary protocol gives to the same fact, so a miss is
status 1 in both.
"""

from __future__ import annotations

from typing import Final

from shared.errors import Malformed
from shared.messages.kernel import Outcome, Protocol
from shared.protocols import _memcached_binary as binary
from shared.protocols import _memcached_text as text
from shared.protocols._base import Parsed, WireProtocol

CUT_BYTES: Final = 64
"""So much of a line must be there when its end is not."""


class Memcached(WireProtocol):
    """
    A command is a line of words, some with a block of data behind it, or a packet.
    """

    name = "memcached"
    family = "cache"
    number = Protocol.MEMCACHED
    specification = "https://github.com/memcached/memcached/blob/master/doc/protocol.txt"

    def confidence(self, request: bytes, response: bytes) -> float:
        """
        Return how sure it is: a well-formed command whose reply is one of those that it can have says most.
        """
        if request[:1] == bytes([binary.REQUEST]):
            return _binary_confidence(request, response)
        command = text.command_at(request, 0)
        if command is None:
            return 0.0
        if response:
            return 0.97 if _can_answer(command, response) else 0.0
        if not command.whole_line:
            return 0.7 if len(request) >= CUT_BYTES and command.verb not in text.ADMINISTRATIVE else 0.3
        if command.verb in text.ADMINISTRATIVE or request[command.line_end - 2] != ord("\r"):
            return 0.4
        return 0.9 if command.data >= 0 else 0.7

    def mask(self, request: bytes, response: bytes) -> tuple[bytes, bytes]:
        """
        Return verbs, lengths and the words of replies; keys, values and messages are overwritten.
        """
        return _mask_request(request), _mask_response(response)

    def parse(self, request: bytes, response: bytes) -> Parsed:
        """
        Return the first command of the head, and what its reply begins with.
        """
        attributes: dict[str, str | int] = {"db.system.name": "memcached"}
        name, quiet = _asked(request, attributes) if request else ("", False)
        outcome, status, word = _answered(response)
        if not response:
            outcome = Outcome.OK if quiet else Outcome.NO_RESPONSE
        if word:
            attributes["db.response.status_code"] = word
        if outcome in (Outcome.CLIENT_ERROR, Outcome.SERVER_ERROR):
            attributes["error.type"] = word
        if name in ("get", "gets", "gat", "gats", "mg") and response and outcome is Outcome.OK:
            attributes["memcached.hit"] = int(status != binary.FOUND_NOTHING)
        return Parsed(name=name, operation=name, outcome=outcome, status=status, attributes=attributes)

    def frame(self, buffer: bytes, *, response: bool) -> int | None:
        """
        Return the length of the first command or reply.
        """
        if not buffer:
            return None
        magic = binary.RESPONSE if response else binary.REQUEST
        if buffer[0] in (binary.REQUEST, binary.RESPONSE):
            return binary.packet_length(buffer, magic)
        return text.reply_length(buffer) if response else text.command_length(buffer)


PROTOCOL: WireProtocol = Memcached()


def _binary_confidence(request: bytes, response: bytes) -> float:
    packet = binary.packet_at(request, 0, binary.REQUEST)
    if packet is None or packet.status or len(request) < binary.HEADER_BYTES:
        return 0.0
    if not response:
        return 0.9
    answer = binary.packet_at(response, 0, binary.RESPONSE)
    return 0.98 if answer is not None else 0.0


def _can_answer(command: text.Command, response: bytes) -> bool:
    """
    Return whether *response* begins like a reply to *command*; the reply to a later one counts if this one is quiet.
    """
    line = text.line_at(response, 0)
    if line is None:
        return False
    if command.quiet or line.word in text.ERRORS:
        return True
    allowed = {
        "d": b"STORED NOT_STORED EXISTS NOT_FOUND HD NS EX NF",
        "K": b"VALUE END",
        "n": b"0 NOT_FOUND TOUCHED",
        "k": b"DELETED NOT_FOUND",
        "f": b"VA HD EN NF NS EX ME",
        "w": b"STAT END OK RESET VERSION",
        "": b"VERSION MN",
    }
    kinds = text.COMMANDS[command.verb]
    return line.word in allowed["d" if "d" in kinds else kinds[-1:]].split()


def _asked(request: bytes, attributes: dict[str, str | int]) -> tuple[str, bool]:
    """
    Return the first command's name and whether no reply may come, and add to *attributes*.
    """
    packet = binary.packet_at(request, 0, binary.REQUEST)
    if packet is not None:
        return binary.name_of(packet.opcode), packet.opcode in binary.QUIET
    command = text.command_at(request, 0)
    if command is None:
        raise Malformed("memcached: no command")
    keys = sum(kind == "K" for _, _, kind in command.words)
    if keys > 1:
        attributes["db.operation.batch.size"] = keys
    return command.verb.decode("ascii"), command.quiet


def _answered(response: bytes) -> tuple[Outcome, int, str]:
    """
    Return the outcome, the number and the word of a reply.
    """
    packet = binary.packet_at(response, 0, binary.RESPONSE)
    if packet is not None:
        status = packet.status
        failed = Outcome.SERVER_ERROR if status in binary.SERVERS_FAULT else Outcome.CLIENT_ERROR
        return Outcome.OK if status in binary.NO_FAILURE else failed, status, str(status) if status else ""
    line = text.line_at(response, 0)
    if line is None:
        return Outcome.OK, 0, ""
    status, word = text.STATUS.get(line.word, 0), line.word.decode("ascii")
    if line.word == b"SERVER_ERROR":
        if response.startswith(b"SERVER_ERROR out of memory"):
            status = text.OUT_OF_MEMORY
        return Outcome.SERVER_ERROR, status, word
    if line.word in (b"ERROR", b"CLIENT_ERROR"):
        return Outcome.CLIENT_ERROR, status, word
    return Outcome.OK, status, word if status else ""


def _mask_request(head: bytes) -> bytes:
    if head[:1] == bytes([binary.REQUEST]):
        return binary.mask_packets(head, binary.REQUEST)
    out = bytearray(len(head))
    at = 0
    while (command := text.command_at(head, at)) is not None:
        if not text.mask_command(out, head, at, command):
            break
        at = command.end
    return bytes(out)


def _mask_response(head: bytes) -> bytes:
    if head[:1] == bytes([binary.RESPONSE]):
        return binary.mask_packets(head, binary.RESPONSE)
    out = bytearray(len(head))
    at = 0
    while (line := text.line_at(head, at)) is not None:
        if not text.mask_line(out, head, line):
            break
        at = line.end
    return bytes(out)
