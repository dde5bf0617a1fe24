"""
What a probe counts before its framed protocols are in, and after.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from shared.messages.kernel import Protocol
from tests.compiled import SharedKernel
from tests.kernel.l7.lab import SCOPE_TREE, Lab, requests_of
from tests.kernel.l7.test_kernel_l7_framed import query, receive, server

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.kernel

PRIME: Final = 53
WEB: Final = """
while True:
    connection = listener.accept()[0]
    while connection.recv(65536):
        connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\n\\r\\nhello")
"""


@pytest.fixture
def begun() -> Iterator[Lab]:
    """
    A laboratory with a probe that has only begun.
    """
    kernel = SharedKernel(Path(f"/sys/fs/bpf/meshlens-test-begin-{os.getpid()}"))
    try:
        kernel.begin("process_lifetime")
        kernel.begin("socket_l7")
        kernel.map("scope_kinds").write(bytes(4), struct.pack("<I", SCOPE_TREE))
        lab = Lab(kernel)
        try:
            yield lab
        finally:
            lab.close()
    finally:
        kernel.close(remove=True)


def test_nothing_waits_for_the_framed_protocols(begun: Lab) -> None:
    """
    HTTP counts as HTTP from the first moment; a framed protocol as unknown until it is in, and then as itself.
    """
    web = begun.http(begun.serve(WEB))
    for number in range(PRIME):
        web.request("GET", f"/pages/{number}")
        assert b"hello" == web.getresponse().read()
    assert web.port is not None
    assert PRIME == requests_of(begun.served(web.port, Protocol.HTTP1))

    names = server(begun, batch=1)
    port = names.getpeername()[1]
    asked = query(1, "host.example")
    for turn in range(2 * PRIME):
        if turn == PRIME:
            begun.settle()
            assert {} == begun.kernel.finish()
        names.sendall(asked)
        receive(names, len(asked))

    assert (PRIME, PRIME) == tuple(
        requests_of(begun.served(port, protocol)) for protocol in (Protocol.UNKNOWN, Protocol.DNS)
    )
    assert {} == begun.lost()
