"""
Programs of every language are seen alike, in plain and inside TLS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kernel.l7.secure import Secure
from tests.kernel.languages.measure import LANGUAGES, TIMES, Seen, Servers, UnavailableError, measure, missing

if TYPE_CHECKING:
    from services.probe_manager.kernel import Kernel
    from tests.kernel.l7.lab import Lab
    from tests.kernel.languages.measure import Language

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda one: one.name)
def test_a_program_is_seen(hooked: Kernel, lab: Lab, language: Language) -> None:
    """
    Each request of the scenario is counted once: under its protocol, or in turns where the library cannot be hooked.
    """
    lacking = missing(language)
    if lacking:
        pytest.skip(f"optional: there is no {', '.join(lacking)}")
    secure = Secure(lab, hooked, one_by_one=True)
    try:
        servers = Servers(secure)
        folder = lab.folder / "build"
        folder.mkdir()
        try:
            command = language.build(folder)
        except UnavailableError as lack:
            pytest.skip(f"optional: {lack}")
        plain = measure(secure, servers, command, encrypted=False)
        encrypted = measure(secure, servers, command, encrypted=True)
    finally:
        secure.close()

    assert Seen(http=TIMES, redis=TIMES, handshakes=0, turns=0, others=0) == plain
    if language.seen:
        assert Seen(http=TIMES, redis=TIMES, handshakes=2, turns=0, others=0) == encrypted
    else:
        assert Seen(http=0, redis=0, handshakes=2, turns=2 * TIMES, others=0) == encrypted
    assert {} == lab.lost()
