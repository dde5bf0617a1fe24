"""
The map in a real browser: it loads, it is live, it colours, it can be walked by keyboard.
"""

from __future__ import annotations

import json

import pytest

from services.query_api import answers
from tests.ui import mock_data as m
from tests.ui.browser import Page
from tests.ui.conftest import SCREENSHOTS
from tests.ui.mock_api import MockApi

pytestmark = pytest.mark.ui

NAMES = "[...document.querySelectorAll('.node')].map((one) => one.dataset.node).sort()"
PLACES = (
    "[...document.querySelectorAll('.node')].map((one) => [one.dataset.node, one.getAttribute('transform')]).sort()"
)
FOCUS = "document.activeElement.dataset.node"
PANEL = "(document.querySelector('.panel h2')?.innerText ?? '')"


def failing(entity: str = "checkout") -> answers.State:
    """
    Return a red state with its reason.
    """
    why = m.reason("error_ratio", "red", 0.31, 0.001, "ratio", "31 % of requests fail; 0.1 % is usual")
    return answers.State(own="red", inherited="green", reasons=[why], culprits=[] if entity == "checkout" else [entity])


def fault(api: MockApi) -> None:
    """
    Let checkout fail, and its caller suffer, and tell the page.
    """
    api.world.colour("checkout", failing())
    api.world.colour("edge", answers.State(own="green", inherited="red", culprits=["checkout"]))
    api.world.colour("edge->checkout:http", failing())
    api.tell()


async def test_shows_the_services(page: Page, api: MockApi) -> None:
    """
    Every service of the map is a node, every pair of services that talk is an edge, and figures carry units.
    """
    assert sorted(api.world.services) == await page.run(NAMES)
    assert len(api.world.relations) == await page.run("document.querySelectorAll('.edge').length")
    assert "128/s" in await page.run("document.querySelector('[data-node=edge]').textContent")
    await page.picture(SCREENSHOTS / "shop-light.png")


async def test_colours_a_fault_without_a_reload(page: Page, api: MockApi) -> None:
    """
    A verdict that comes live fills the guilty node and rings its caller, with sign and words beside the colour.
    """
    fault(api)

    await page.until("!!document.querySelector('[data-node=checkout].own-red .badge')")
    assert await page.run("!!document.querySelector('[data-node=edge].own-green .ring-red')")
    assert await page.run("!!document.querySelector('.edge-red .edge-sign')")
    assert "failing" in await page.run("document.querySelector('[data-node=checkout]').getAttribute('aria-label')")
    await page.until("document.querySelector('[aria-live]').innerText.includes('checkout is failing')")
    await page.point("[data-node=checkout]")
    assert "31\u202f% of requests fail" in await page.until("document.querySelector('.tip')?.innerText")
    await page.picture(SCREENSHOTS / "fault-light.png")


async def test_places_stay_when_figures_change_and_a_service_comes(page: Page, api: MockApi) -> None:
    """
    Nodes do not move when figures or colours change, nor when a node is added.
    """
    before = await page.run(PLACES)
    fault(api)
    await page.until("!!document.querySelector('.own-red')")
    assert before == await page.run(PLACES)

    m.relate(api.world, "checkout", "mail", "http", 8025, 1.0, 0.2)
    m.serve(api.world, "mail", "service", 1, 1.0, 0.2)
    api.tell()
    await page.until("!!document.querySelector('[data-node=mail]')")
    after = await page.run(PLACES)

    assert before == [one for one in after if one[0] != "mail"]


async def test_keyboard_alone_finds_opens_walks_and_closes(page: Page) -> None:
    """
    The slash searches, Enter opens, arrows walk to neighbours, Escape closes and gives the focus back.
    """
    await page.key("/")
    await page.until("document.activeElement.id === 'search'")
    await page.type("edg")
    await page.until("document.querySelectorAll('.found li').length > 0")
    await page.key("Enter")
    await page.until(f"{PANEL} === 'edge'")
    await page.key("Escape")
    await page.until("!document.querySelector('.panel')")
    await page.until(f"{FOCUS} === 'edge'")

    await page.key("ArrowLeft")
    await page.until(f"{FOCUS} === 'load'")
    await page.key("ArrowRight")
    await page.until(f"{FOCUS} === 'edge'")
    await page.key("Enter")
    await page.until(f"{PANEL} === 'edge'")
    await page.key("?")
    await page.until("!!document.querySelector('dialog[open]')")
    await page.key("Escape")
    await page.until("!document.querySelector('dialog[open]')")
    assert "edge" == await page.run(PANEL)


async def test_the_panel_leads_to_callers_and_dependencies(page: Page, api: MockApi) -> None:
    """
    From a node one goes to its dependency, from there to its caller, and to the relation between them.
    """
    fault(api)
    await page.click("[data-node=edge]")
    await page.until("document.querySelector('.culprits')?.innerText.includes('checkout')")
    await page.until("document.querySelectorAll('.chart').length === 2")
    await page.picture(SCREENSHOTS / "panel-light.png")
    await page.click(".culprits button")
    await page.until(f"{PANEL} === 'checkout' && document.querySelectorAll('.chart').length === 2")
    await page.click(".relation-list .relation-figures")
    await page.until(f"{PANEL}.replace(/\\s+/g, ' ') === 'edge → checkout'")
    assert "at edge" in await page.until("document.querySelector('.sides')?.innerText")
    await page.picture(SCREENSHOTS / "relation-light.png")


@pytest.mark.parametrize("tab", ["endpoints", "instances", "requests", "network"])
async def test_every_part_of_the_panel_has_content(page: Page, tab: str) -> None:
    """
    Each part of a service's panel shows rows.
    """
    await page.run(f"location.hash = '#/map?service=checkout&tab={tab}'")
    rows = ".panel [role=tabpanel] :is(tbody tr, .span-list li, .rows dt)"
    await page.until(f"document.querySelectorAll({json.dumps(rows)}).length >= 3")
    await page.picture(SCREENSHOTS / f"panel-{tab}.png")


async def test_dark_follows_the_system_and_can_be_chosen(page: Page) -> None:
    """
    The page is dark where the system is, and the choice of the user goes before.
    """
    ground = "getComputedStyle(document.body).backgroundColor"
    light = await page.run(ground)
    await page.prefer(prefers_color_scheme="dark")
    dark = await page.until(f"{ground} !== {json.dumps(light)} && {ground}")
    await page.picture(SCREENSHOTS / "shop-dark.png")
    await page.key("t")
    await page.until(f"{ground} === {json.dumps(light)}")
    await page.key("t")
    await page.until(f"{ground} === {json.dumps(dark)}")
    assert "dark" == await page.run("document.documentElement.dataset.theme")


async def test_says_when_the_connection_is_lost_and_comes_back(page: Page, api: MockApi) -> None:
    """
    A lost connection is said at once, the last map stays, and it goes on by itself.
    """
    api.broken = True
    api.hang_up()
    await page.until("document.querySelector('[role=alert]')?.innerText.includes('Connection lost')")
    assert sorted(api.world.services) == await page.run(NAMES)
    await page.picture(SCREENSHOTS / "lost-light.png")
    api.broken = False
    await page.until("!document.querySelector('[role=alert]')")
    page.complaints[:] = [one for one in page.complaints if "503" not in one and "ERR_" not in one]


async def test_says_when_data_is_stale_and_what_was_lost(page: Page, api: MockApi) -> None:
    """
    Old kernel data is called old, and what could not be counted is shown with its causes.
    """
    api.world.age_s = 95.0
    api.world.lost = {"series_full": 1204}
    api.tell()
    await page.until("document.querySelector('.banner')?.innerText.includes('stands still')")
    await page.click(".loss-chip")
    assert "found no room in the kernel's table" in await page.until(
        "document.querySelector('.loss-popover')?.innerText"
    )


class TestNothing:
    """
    A map without services.
    """

    @pytest.fixture
    def world(self) -> m.World:
        """
        Return an empty world.
        """
        return m.World()

    async def test_says_how_to_start(self, page: Page) -> None:
        """
        An empty map names the command that finds out why.
        """
        assert "meshlens doctor" in await page.run("document.body.innerText")
        await page.picture(SCREENSHOTS / "empty-light.png")


class TestEstate:
    """
    A map of 500 services.
    """

    @pytest.fixture
    def world(self) -> m.World:
        """
        Return a large world.
        """
        return m.estate(500)

    async def test_groups_open_and_all_can_be_seen(self, page: Page) -> None:
        """
        Large maps come in groups; a group opens in place, and without groups every service is drawn.
        """
        assert 14 == await page.run("document.querySelectorAll('.node').length")
        await page.picture(SCREENSHOTS / "estate-groups-light.png")
        await page.click("[data-node='group:orders']")
        await page.until(f"{PANEL} === 'orders'")
        await page.click(".panel .button.primary")
        await page.until("document.querySelectorAll('.node').length === 13 + 36")

        await page.click(".map-toolbar .popover-frame:nth-child(2) button")
        await page.run("document.querySelectorAll('.popover input')[1].click()")
        await page.until("document.querySelectorAll('.node').length === 500")
        await page.until("document.querySelector('.map').dataset.detail === 'far'")
        await page.picture(SCREENSHOTS / "estate-all-light.png")
        await page.prefer(prefers_color_scheme="dark")
        await page.picture(SCREENSHOTS / "estate-all-dark.png")

    async def test_an_update_touches_only_what_changed(self, page: Page, api: MockApi) -> None:
        """
        With all 500 services drawn, an update that recolours one of them changes that node and little else.
        """
        await page.click(".map-toolbar .popover-frame:nth-child(2) button")
        await page.run("document.querySelectorAll('.popover input')[1].click()")
        await page.until("document.querySelectorAll('.node').length === 500")
        await page.until("document.querySelector('.map').dataset.detail === 'far'")
        await page.run(
            "window.touched = new Set(); new MutationObserver((all) => all.forEach((one) => touched.add(one.target)))"
            ".observe(document.querySelector('.world'), { subtree: true, childList: true, attributes: true })"
        )
        api.world.colour("orders-api", failing())
        api.tell()
        await page.until("!!document.querySelector('[data-node=orders-api].own-red')")
        await page.run("new Promise((done) => requestIdleCallback(done))")

        assert 1 <= await page.run("touched.size") <= 20
