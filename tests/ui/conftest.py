"""
A browser, and an API that answers from an invented world.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.ui import mock_data
from tests.ui.browser import Page, chromium, tab
from tests.ui.mock_api import DIST, MockApi, serve

SCREENSHOTS: Final = Path(__file__).parents[2] / "build/screenshots"
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SIZE: Final = (1600, 1000)


@pytest.fixture(scope="session")
def browser() -> Iterator[str]:
    """
    Run a browser and give its address; without one the tests of the page are left out.
    """
    named = os.environ.get("MESHLENS_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if named is None:
        pytest.skip("no Chromium here: install the package chromium, or name one in MESHLENS_CHROMIUM")
    assert (DIST / "index.html").is_file(), "the page is not built: npm ci && npm run build in services/query_api/ui"
    with chromium(named) as address:
        yield address


@pytest.fixture
def world() -> mock_data.World:
    """
    Return the invented shop, all well.
    """
    return mock_data.shop()


@pytest.fixture
def port() -> int:
    """
    Return a port that is free.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def api(world: mock_data.World, port: int) -> AsyncIterator[MockApi]:
    """
    Serve *world* and the page.
    """
    found = MockApi(world)
    runner = await serve(found, port)
    yield found
    found.hang_up()
    await runner.cleanup()


@pytest.fixture
async def page(browser: str, api: MockApi, port: int) -> AsyncIterator[Page]:
    """
    Give a tab that shows the page; at the end it must not have complained.
    """
    async with tab(browser) as found:
        await found.size(*SIZE)
        await found.prefer(prefers_color_scheme="light", prefers_reduced_motion="reduce")
        await found.open(f"http://127.0.0.1:{port}/")
        await found.until("performance.getEntriesByType('resource').some((one) => one.name.endsWith('/topology'))")
        await found.until("!!document.querySelector('.node, .hints, .live.fresh')")
        assert any("/api/v1/topology" in one for one in api.asked)
        yield found
        assert [] == found.complaints
