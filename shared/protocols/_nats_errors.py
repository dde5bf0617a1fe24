"""
What NATS servers say went wrong.

https://docs.nats.io/reference/reference-protocols/nats-protocol#ok-err
"""

from __future__ import annotations

from typing import Final

ERRORS: Final = {
    word.lower(): word.decode()
    for word in (
        b"Unknown Protocol Operation|Attempted To Connect To Route Port|Authorization Violation|"
        b"Authentication Timeout|Authentication Expired|Account Authentication Expired|"
        b"Invalid Client Protocol|Maximum Control Line Exceeded|Parser Error|Secure Connection - TLS Required|"
        b"Stale Connection|Maximum Connections Exceeded|Slow Consumer|Maximum Payload Violation|"
        b"Invalid Subject|Invalid Publish Subject|Permissions Violation|Maximum Subscriptions Exceeded|"
        b"Maximum Account Active Connections Exceeded|User Authentication Expired|User Authentication Revoked|"
        b"Connection Throttling Is Active|Message Headers Not Supported"
    ).split(b"|")
}
"""What a server may say behind -ERR, in lower case, to the word that is shown."""
SERVER_FAULTS: Final = (b"slow", b"stale", b"maximum conn", b"maximum account", b"connection throttling")
"""Errors that begin so are the server's: slow consumer, stale connection, no room."""
