"""
TLS: the handshake, and what is encrypted.

https://www.rfc-editor.org/rfc/rfc8446
"""

from __future__ import annotations

import re
from typing import Final

from shared.errors import Malformed
from shared.messages.kernel import Outcome, Protocol
from shared.protocols import _tls_records as wire
from shared.protocols._base import MASK, Parsed, WireProtocol, blank
from shared.protocols._collapse import collapsed
from shared.protocols._x509 import certificate

VERSIONS: Final = {0x0300: "3.0", 0x0301: "1.0", 0x0302: "1.1", 0x0303: "1.2", 0x0304: "1.3"}
CIPHERS: Final = {
    0x1301: "TLS_AES_128_GCM_SHA256", 0x1302: "TLS_AES_256_GCM_SHA384", 0x1303: "TLS_CHACHA20_POLY1305_SHA256",
    0x002F: "TLS_RSA_WITH_AES_128_CBC_SHA", 0x0035: "TLS_RSA_WITH_AES_256_CBC_SHA",
    0x003C: "TLS_RSA_WITH_AES_128_CBC_SHA256", 0x003D: "TLS_RSA_WITH_AES_256_CBC_SHA256",
    0x009C: "TLS_RSA_WITH_AES_128_GCM_SHA256", 0x009D: "TLS_RSA_WITH_AES_256_GCM_SHA384",
    0xC009: "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", 0xC00A: "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    0xC013: "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", 0xC014: "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    0xC02B: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", 0xC02C: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    0xC02F: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", 0xC030: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    0xCCA8: "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", 0xCCA9: "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
}  # fmt: skip
"""https://www.iana.org/assignments/tls-parameters"""
ALERTS: Final = {
    10: "unexpected_message", 20: "bad_record_mac", 22: "record_overflow", 40: "handshake_failure",
    42: "bad_certificate", 43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired",
    46: "certificate_unknown", 47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error",
    51: "decrypt_error", 70: "protocol_version", 71: "insufficient_security", 80: "internal_error",
    86: "inappropriate_fallback", 90: "user_canceled", 109: "missing_extension", 110: "unsupported_extension",
    112: "unrecognized_name", 113: "bad_certificate_status_response", 115: "unknown_psk_identity",
    116: "certificate_required", 120: "no_application_protocol",
}  # fmt: skip
INTERNAL_ERROR: Final = 80
ENCRYPTED: Final = "encrypted"
_HOST: Final = re.compile(rb"[A-Za-z0-9_.-]{1,253}\Z")
_PROTOCOL_NAME: Final = re.compile(rb"[A-Za-z0-9./_+-]{1,32}\Z")


class Tls(WireProtocol):
    """
    A ClientHello opens the connection; behind both hellos only lengths and times are visible.
    """

    name = "tls"
    number = Protocol.TLS
    specification = "https://www.rfc-editor.org/rfc/rfc8446"
    family = "encrypted"

    def confidence(self, request: bytes, response: bytes) -> float:
        """
        Return how sure it is: a hello's lengths must fit, and every record must be followed by another.
        """
        if not _is_stream(request) or (response and not _is_stream(response)):
            return 0.0
        if request[0] == wire.HANDSHAKE:
            found = wire.hello(request)
            if found is None:
                return 0.3 if len(request) < wire.HEADER_BYTES + 6 else 0.0
            if not found.client or not found.sound:
                return 0.0
            answered = response[:1] in (bytes([wire.HANDSHAKE]), bytes([wire.ALERT]))
            return 0.99 if answered else 0.9 if not response else 0.0
        if request[:3] not in (b"\x17\3\3", b"\x14\3\3", b"\x15\3\3") or len(request) < wire.HEADER_BYTES:
            return 0.0
        return 0.9 if response else 0.65

    def mask(self, request: bytes, response: bytes) -> tuple[bytes, bytes]:
        """
        Return the hellos' names, versions and algorithms, and of certificates the host and the dates; all else is NUL.
        """
        return _mask(request), _mask(response)

    def parse(self, request: bytes, response: bytes) -> Parsed:
        """
        Return the name that was asked for, and what both sides agreed on as far as it is visible.
        """
        attributes: dict[str, str | int] = {}
        name, operation = _asked(request, attributes) if request else ("", "")
        answer = response if _is_stream(response) else b""
        if operation != ENCRYPTED:
            _answered(answer, attributes)
        description = wire.alert(answer)
        outcome = Outcome.OK if response else Outcome.NO_RESPONSE
        if description is not None:
            outcome = Outcome.SERVER_ERROR if description == INTERNAL_ERROR else Outcome.CLIENT_ERROR
            attributes["error.type"] = ALERTS.get(description, f"alert_{description}")
        return Parsed(
            name=name, operation=operation, outcome=outcome, status=description or 0, attributes=attributes
        )  # fmt: skip

    def frame(self, buffer: bytes, *, response: bool) -> int | None:  # noqa: ARG002  # records look alike both ways
        """
        Return the end of the first record.
        """
        if buffer and not wire.is_record(buffer):
            raise Malformed("tls: no header of a record")
        if len(buffer) < wire.HEADER_BYTES:
            return None
        end = wire.HEADER_BYTES + int.from_bytes(buffer[3:5], "big")
        return end if end <= len(buffer) else None


def _is_stream(head: bytes) -> bool:
    """
    Return whether *head* is nothing but records, the last of which may be cut off.
    """
    at = 0
    while at < len(head):
        if not wire.is_record(head, at):
            return False
        at += wire.HEADER_BYTES + int.from_bytes(head[at + 3 : at + 5], "big")
    return at > 0


def _asked(request: bytes, attributes: dict[str, str | int]) -> tuple[str, str]:
    if not _is_stream(request):
        raise Malformed("tls: not a row of records")
    if request[0] != wire.HANDSHAKE:
        return ENCRYPTED, ENCRYPTED
    attributes["tls.protocol.name"] = "tls"
    found = wire.hello(request)
    if found is None or not found.client:
        return "handshake", "handshake"
    host = _server_name(request, found)
    offered = [protocol for _, protocol in _protocols(request, found)]
    if offered:
        attributes["tls.client.offered_protocols"] = ",".join(offered)
    if not host:
        return "handshake", "handshake"
    labels = ".".join(collapsed(label) for label in host.split(b"."))
    attributes["tls.client.server_name"] = labels
    return f"handshake {labels}", "handshake"


def _server_name(head: bytes, found: wire.Hello) -> bytes:
    for extension in found.extensions:
        if extension.kind == wire.SERVER_NAME and extension.whole and extension.end - extension.start > 5:
            length = int.from_bytes(head[extension.start + 3 : extension.start + 5], "big")
            host = head[extension.start + 5 : min(extension.start + 5 + length, extension.end)].rstrip(b".").lower()
            return host if _HOST.match(host) else b""
    return b""


def _protocols(head: bytes, found: wire.Hello) -> list[tuple[int, str]]:
    """
    Return the application protocols of a hello, each with its place.
    """
    names: list[tuple[int, str]] = []
    for extension in found.extensions:
        at = extension.start + 2
        while extension.kind == wire.PROTOCOLS and at < extension.end:
            name = head[at + 1 : at + 1 + head[at]]
            if at + 1 + head[at] <= extension.end and _PROTOCOL_NAME.match(name):
                names.append((at + 1, name.decode()))
            at += 1 + head[at]
    return names


def _answered(response: bytes, attributes: dict[str, str | int]) -> None:
    found = wire.hello(response)
    if found is None or found.client:
        return
    version = found.version
    for extension in found.extensions:
        if extension.kind == wire.VERSIONS and extension.end - extension.start == 2:
            version = int.from_bytes(response[extension.start : extension.end], "big")
    attributes["tls.protocol.version"] = VERSIONS.get(version, f"0x{version:04x}")
    if found.ciphers:
        attributes["tls.cipher"] = CIPHERS.get(found.ciphers[0], f"0x{found.ciphers[0]:04x}")
    for _, protocol in _protocols(response, found)[:1]:
        attributes["tls.next_protocol"] = protocol
    for message in wire.messages(response):
        if message.kind == wire.CERTIFICATE:
            shown = certificate(response, message.start + 6, message.end)
            facts = {"subject": shown.common_name, "not_before": shown.not_before, "not_after": shown.not_after}
            attributes.update({f"tls.server.{fact}": text for fact, text in facts.items() if text})


def _mask(head: bytes) -> bytes:
    kept = bytearray(blank(head))

    def keep(start: int, end: int) -> None:
        kept[start:end] = head[start:end]

    if not _is_stream(head):
        return bytes(kept)
    for record in wire.records(head):
        keep(record.start - wire.HEADER_BYTES, record.start)
        if record.kind == wire.ALERT and record.end - record.start <= 2:
            keep(record.start, record.end)
    last = next(reversed(list(wire.records(head))), None)
    tail = last.end if last and last.whole else 0 if last is None else len(head)
    keep(tail, len(head))  # the part of a header
    for message in wire.messages(head):
        keep(message.start - 4, message.start)
        if message.kind == wire.CERTIFICATE:
            keep(message.start, message.start + 6)
            for start, end in certificate(head, message.start + 6, message.end).open:
                keep(start, end)
    found = wire.hello(head)
    if found is not None:
        for start, end in found.open:
            keep(start, end)
        _hide_names(head, found, kept)
    return bytes(kept)


def _hide_names(head: bytes, found: wire.Hello, kept: bytearray) -> None:
    """
    Overwrite names that are no hosts' and no protocols'.
    """
    host = _server_name(head, found)
    shown = {at + n for at, name in _protocols(head, found) for n in range(-1, len(name))}
    for extension in found.extensions:
        if extension.kind == wire.SERVER_NAME and not host:
            kept[extension.start + 5 : extension.end] = bytes([MASK]) * max(0, extension.end - extension.start - 5)
        if extension.kind == wire.PROTOCOLS:
            for at in range(extension.start + 2, extension.end):
                if at not in shown:
                    kept[at] = 0


PROTOCOL: WireProtocol = Tls()
