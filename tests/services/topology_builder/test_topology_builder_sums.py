"""
The same figure has the same name from the kernel's series to the window of the map.
"""

from __future__ import annotations

from services.topology_builder.sums import RedSum, TcpSum
from shared.messages.kernel import L4Series, L7Series
from shared.messages.topology import Red, Tcp

WHOSE = ("instance", "peer", "role", "port", "remote")
"""What says whose figures an `L4Series` holds; as an array, it begins with that."""


def test_what_tcp_did_has_the_same_names_everywhere() -> None:
    """
    A series of the kernel, the sum of some, and what travels on agree on every figure, and the first two on its type.
    """
    figures = Tcp.__struct_fields__

    assert (*WHOSE, *figures) == L4Series.__struct_fields__
    assert {name: Tcp.__annotations__[name] for name in figures} == {
        name: L4Series.__annotations__[name] for name in figures
    }
    assert sorted(figures) == sorted(TcpSum.__slots__)


def test_requests_have_the_same_names_everywhere() -> None:
    """
    The sum of some series and what travels on agree on every figure; a series has all but those of its outcome.
    """
    figures = Red.__struct_fields__

    assert sorted(figures) == sorted(RedSum.__slots__)
    assert {"errors", "client_errors", "no_responses"} == {*figures} - {*L7Series.__struct_fields__}
