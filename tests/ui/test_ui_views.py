"""
The other views in a real browser: endpoints, problems, status, and the time that is shown.
"""

from __future__ import annotations

import json

import pytest

from tests.ui import mock_data as m
from tests.ui import mock_lists as lists
from tests.ui.browser import Page
from tests.ui.conftest import SCREENSHOTS
from tests.ui.mock_api import MockApi

pytestmark = pytest.mark.ui


@pytest.fixture
def world() -> m.World:
    """
    Return the shop with an alert.
    """
    world = m.shop()
    world.alerts = {"fail-checkout": lists.alert("checkout")}
    return world


async def test_endpoints_sort_filter_and_open_their_requests(page: Page, api: MockApi) -> None:
    """
    Endpoints can be sorted by any figure, narrowed by the API, and open sampled requests.
    """
    await page.key("3")
    await page.until("document.querySelectorAll('tbody tr').length > 20")
    await page.run("[...document.querySelectorAll('th button')].find((one) => one.innerText.startsWith('p95')).click()")
    await page.until("!!document.querySelector('th[aria-sort=descending]')?.innerText.includes('p95')")
    await page.click("tbody tr")
    await page.until("document.querySelectorAll('.below .span-list li').length > 0")
    await page.picture(SCREENSHOTS / "endpoints-light.png")
    await page.click(".view-controls input[type=checkbox]")
    await page.until("document.querySelectorAll('tbody tr').length > 0")

    assert any("failing=true" in one for one in api.asked)


async def test_an_alert_is_acknowledged_and_silenced(page: Page, api: MockApi) -> None:
    """
    An alert says what it means, can be taken over, and can be silenced.
    """
    assert "1" == await page.until("document.querySelector('.count-badge')?.innerText")
    await page.key("4")
    await page.until("!!document.querySelector('.alert-card')")
    await page.picture(SCREENSHOTS / "problems-light.png")
    await page.click(".alert-card .button.primary")
    await page.until("document.querySelector('.alert-card .pill')?.innerText.includes('looks after it')")
    await page.until("!document.querySelector('.count-badge')")
    assert [("acknowledge", "fail-checkout")] == api.commands
    await page.click(".alert-actions .popover-frame button")
    await page.click(".alert-actions .menu-item")
    await page.run("[...document.querySelectorAll('[role=tab]')].find((one) => one.innerText === 'Silences').click()")
    await page.until("document.querySelector('.anomaly')?.innerText.includes('service_fails')")


async def test_status_tells_losses_and_switches_probes(page: Page, api: MockApi) -> None:
    """
    The status view names what was lost by cause, and a probe can be switched on.
    """
    api.world.lost = {"sample_ring_full": 17}
    await page.key("5")
    await page.until("document.querySelector('.losses')?.innerText.includes('the ring was full')")
    await page.picture(SCREENSHOTS / "status-light.png")
    switch = "[aria-label='packet_drop on node-1']"
    await page.run(f"document.querySelector({json.dumps(switch)}).click()")
    await page.until(f"document.querySelector({json.dumps(switch)}).getAttribute('aria-checked') === 'true'")

    assert [("packet_drop", True)] == api.commands


async def test_a_range_is_asked_for_and_live_comes_back(page: Page, api: MockApi) -> None:
    """
    Choosing a time asks the API for it, keeps it in the address, and one key returns to live.
    """
    await page.click("[title=Time]")
    await page.run("[...document.querySelectorAll('.menu-item')].find((one) => one.innerText === 'Last hour').click()")
    await page.until("document.querySelector('.live').innerText === 'Not live'")
    assert "time=3600s" in await page.run("location.hash")
    assert any("/topology?from=-3600s" in one for one in api.asked)
    await page.key("l")
    await page.until("document.querySelector('.live').innerText.startsWith('Live')")


async def test_dragging_on_the_strip_chooses_a_time(page: Page, api: MockApi) -> None:
    """
    A drag over the time line shows the map of that time.
    """
    box = await page.until(
        "(() => { const b = document.querySelector('.strip-track svg')?.getBoundingClientRect();"
        " return b && [b.x, b.y + b.height / 2, b.width]; })()"
    )
    for kind, share in (("mousePressed", 0.3), ("mouseMoved", 0.45), ("mouseReleased", 0.45)):
        at = {"x": box[0] + box[2] * share, "y": box[1]}
        await page.call("Input.dispatchMouseEvent", type=kind, button="left", buttons=1, clickCount=1, **at)
    await page.until("location.hash.includes('time=')")

    await page.until("document.querySelector('.live.past') !== null")
    assert any("/topology?from=20" in one for one in api.asked)


async def test_services_are_a_table_too(page: Page, api: MockApi) -> None:
    """
    The map can be read as a table, whose rows open the same panel.
    """
    await page.key("2")
    await page.until(f"document.querySelectorAll('tbody tr').length === {len(api.world.services)}")
    await page.run("document.querySelector('tbody tr').focus()")
    await page.key("Enter")
    await page.until("!!document.querySelector('.panel')")


async def test_asks_for_a_token_where_one_is_needed(page: Page, api: MockApi, port: int) -> None:
    """
    Without a token the page asks for it, says when it is wrong, and goes on when it is right.
    """
    api.token = "let-me-in-let-me-in-let-me-in"
    await page.open(f"http://127.0.0.1:{port}/?again")
    await page.until("!!document.querySelector('dialog[open] input')")
    for token in ("wrong", api.token):
        await page.run("document.querySelector('dialog input').select()")
        await page.run("document.querySelector('dialog input').focus()")
        await page.type(token)
        await page.click("dialog .button.primary")
        if token == "wrong":
            await page.until("document.querySelector('dialog [role=alert]')?.innerText.includes('not known')")
    await page.until("!document.querySelector('dialog') && document.querySelectorAll('.node').length === 7")
    api.token = ""
    page.complaints[:] = [one for one in page.complaints if "401" not in one]
