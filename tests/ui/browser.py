"""
A headless Chromium with an empty profile, driven through its DevTools protocol.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp

DEADLINE_S: Final = 20.0
STEP_S: Final = 0.05
FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
KEYS: Final = {
    "ArrowRight": 39,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowDown": 40,
    "Enter": 13,
    "Escape": 27,
    "Tab": 9,
}


class Page:
    """
    One tab, and what it complained about.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.complaints: list[str] = []
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def listen(self) -> None:
        """
        Take in what the browser says, until it hangs up.
        """
        async for message in self._socket:
            said = json.loads(message.data)
            if (number := said.get("id")) is not None:
                if not (answer := self._waiting.pop(number)).done():
                    answer.set_result(said)
            elif complaint := _complaint(said):
                self.complaints.append(complaint)

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """
        Return the result of a DevTools command.
        """
        number = next(self._numbers)
        answer = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(DEADLINE_S):
            said: dict[str, Any] = await answer
        assert "error" not in said, f"{method}: {said['error']}"
        result: dict[str, Any] = said["result"]
        return result

    async def run(self, script: str) -> Any:
        """
        Return what *script* evaluates to in the page.
        """
        said = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in said, f"{script}: {said['exceptionDetails']}"
        return said["result"].get("value")

    async def until(self, script: str, deadline_s: float = DEADLINE_S) -> Any:
        """
        Return what *script* evaluates to, once that is true.
        """
        try:
            async with asyncio.timeout(deadline_s):
                while not (found := await self.run(script)):  # noqa: ASYNC110 - a page has no event for that
                    await asyncio.sleep(STEP_S)
        except TimeoutError:
            text = await self.run("document.body.innerText.slice(0, 600)")
            raise AssertionError(f"never true: {script}\ncomplaints: {self.complaints}\npage: {text}") from None
        return found

    async def open(self, address: str) -> None:
        """
        Load *address*.
        """
        await self.call("Page.navigate", url=address)

    async def size(self, width: int, height: int, scale: float = 1.0) -> None:
        """
        Give the window a size.
        """
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False
        )

    async def prefer(self, **features: str) -> None:
        """
        Set media features: `prefers_color_scheme="dark"`.
        """
        wanted = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        await self.call("Emulation.setEmulatedMedia", features=wanted)

    async def key(self, key: str) -> None:
        """
        Press and release *key*.
        """
        code = KEYS.get(key, 0)
        text = {"text": "\r"} if key == "Enter" else {} if code else {"text": key}
        await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **text)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    async def type(self, text: str) -> None:
        """
        Type *text* where the focus is.
        """
        await self.call("Input.insertText", text=text)

    async def point(self, selector: str, *, click: bool = False) -> None:
        """
        Move the pointer onto the middle of the element that *selector* finds, and click it if asked.
        """
        where = await self.run(
            f"(() => {{ const b = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        at = {"x": where[0], "y": where[1]}
        await self.call("Input.dispatchMouseEvent", type="mouseMoved", **at)
        for kind in ("mousePressed", "mouseReleased") if click else ():
            await self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **at)

    async def click(self, selector: str) -> None:
        """
        Click the element that *selector* finds.
        """
        await self.point(selector, click=True)

    async def picture(self, path: Path) -> None:
        """
        Keep what is seen as a PNG at *path*.
        """
        shot = await self.call("Page.captureScreenshot", format="png")
        await asyncio.to_thread(_keep, path, base64.b64decode(shot["data"]))


def _keep(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _complaint(said: dict[str, Any]) -> str:
    """
    Return the error in a DevTools event: an exception, an error on the console, a breach of the page's policy.
    """
    parameters = said.get("params", {})
    match said.get("method"):
        case "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            return str(details.get("exception", {}).get("description") or details["text"])
        case "Runtime.consoleAPICalled" if parameters["type"] in ("error", "warning", "assert"):
            return " ".join(str(one.get("value", one.get("description", ""))) for one in parameters["args"])
        case "Log.entryAdded" if parameters["entry"]["level"] == "error":
            return f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}"
    return ""


@contextlib.contextmanager
def chromium(program: str) -> Iterator[str]:
    """
    Run a browser with an empty profile, and give the address where it can be driven.
    """
    profile = Path(tempfile.mkdtemp(prefix="meshlens-ui-"))
    process = subprocess.Popen(
        [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(profile)},  # where it keeps the socket that tells others of the profile
    )
    try:
        yield _address(profile / "DevToolsActivePort", process)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(DEADLINE_S)
        process.kill()
        process.wait()
        _forget(profile)


def _forget(profile: Path) -> None:
    """
    Remove *profile*; the browser's helpers may write to it a moment longer than the browser lives.
    """
    deadline_s = time.monotonic() + DEADLINE_S
    while profile.exists() and time.monotonic() < deadline_s:
        shutil.rmtree(profile, ignore_errors=True)
        time.sleep(STEP_S)
    assert not profile.exists()


def _address(port_file: Path, process: subprocess.Popen[bytes]) -> str:
    """
    Return where the browser listens, once it has written it down.
    """
    deadline_s = time.monotonic() + 2 * DEADLINE_S
    while not port_file.exists() or "\n" not in port_file.read_text():
        assert process.poll() is None, "Chromium ended at once"
        assert time.monotonic() < deadline_s, "Chromium does not say where it listens"
        time.sleep(STEP_S)
    return f"http://127.0.0.1:{port_file.read_text().splitlines()[0]}"


@contextlib.asynccontextmanager
async def tab(browser: str) -> AsyncIterator[Page]:
    """
    Give a new tab of the browser at the address *browser*; it is closed with the context.
    """
    async with aiohttp.ClientSession() as session:
        async with session.put(f"{browser}/json/new?about:blank") as answer:
            opened = await answer.json()
        async with (
            session.ws_connect(opened["webSocketDebuggerUrl"], max_msg_size=0) as connection,
            asyncio.TaskGroup() as tasks,
        ):
            page = Page(connection)
            listening = tasks.create_task(page.listen())
            for domain in ("Page", "Runtime", "Log"):
                await page.call(f"{domain}.enable")
            yield page
            await connection.close()
            listening.cancel()
        async with session.get(f"{browser}/json/close/{opened['id']}") as answer:
            await answer.read()
