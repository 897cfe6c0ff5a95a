"""A headless Chromium, driven through its DevTools protocol."""

import asyncio
import itertools
import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE = 60

needs_browser = pytest.mark.skipif(
    CHROMIUM is None,
    reason="THE DEMO'S PAGE IS NOT TESTED: there is no chromium (Debian, Ubuntu: apt install chromium)",
)


class Page:
    """One tab. `requests` has each address that it has asked for, `errors` what its console has complained about."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.requests: list[str] = []
        self.errors: list[str] = []

    async def send(self, method: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            message = await self._socket.receive_json(timeout=PATIENCE)
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            self._note(message)

    def _note(self, event: Any) -> None:
        if event.get("method") == "Network.requestWillBeSent":
            self.requests.append(event["params"]["request"]["url"])
        elif event.get("method") == "Runtime.exceptionThrown":
            self.errors.append(str(event["params"]["exceptionDetails"]))
        elif event.get("method") == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
            self.errors.append(event["params"]["entry"]["text"])

    async def open(self, file: Path) -> None:
        for domain in ("Page", "Network", "Runtime", "Log"):
            await self.send(f"{domain}.enable")
        await self.send("Page.navigate", url=file.as_uri())
        await self.until("document.readyState === 'complete' && location.protocol === 'file:'")

    async def run(self, expression: str) -> Any:
        """The value of an expression, awaited where it is a promise."""
        sent = {"expression": expression, "awaitPromise": True, "returnByValue": True, "userGesture": True}
        answer = await self.send("Runtime.evaluate", **sent)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, expression: str) -> Any:
        """The expression's value, once it is true."""
        for _ in range(PATIENCE * 20):
            value = await self.run(expression)
            if value:
                return value
            await asyncio.sleep(0.05)
        raise AssertionError(f"never true: {expression}")


@asynccontextmanager
async def browser(folder: Path, *options: str) -> AsyncIterator[Page]:
    """A new browser with one empty tab; its profile is in the folder."""
    assert CHROMIUM
    profile = folder / "profile"
    command = [CHROMIUM, "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={profile}"]
    command += ["--no-first-run", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    command += ["--disable-dev-shm-usage", "--autoplay-policy=no-user-gesture-required", "--window-size=1280,1000"]
    if os.geteuid() == 0:
        command.append("--no-sandbox")  # else Chromium refuses to run as root, as in a container
    nothing = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, *options, "about:blank", stdout=nothing, stderr=nothing)
    try:
        port = await asyncio.to_thread(_port, profile / "DevToolsActivePort")
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                tabs = await answer.json(content_type=None)
            address = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
            async with session.ws_connect(address, max_msg_size=0) as socket:
                page = Page(socket)
                yield page
                await page.send("Browser.close")
        await asyncio.wait_for(process.wait(), PATIENCE)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _port(file: Path) -> int:
    for _ in range(PATIENCE * 20):
        if file.exists() and (lines := file.read_text(encoding="ascii").splitlines()):
            return int(lines[0])
        time.sleep(0.05)
    raise AssertionError("Chromium did not start")
