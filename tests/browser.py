"""A headless Chromium, driven by its DevTools protocol: what a page looks like to who opens it.

Without the program tests that need it are skipped, unless REELMILL_BROWSER=required, as continuous integration has it.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp
import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_PATIENCE_S = 120.0


def program() -> str:
    """The browser on this machine."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        assert os.environ.get("REELMILL_BROWSER") != "required", f"none of {', '.join(_NAMES)} is installed"
        pytest.skip("no Chromium on this machine")
    return found


class Browser:
    """One page of one browser, with a log of what it asked for and what went wrong in it."""

    def __init__(self) -> None:
        self._program = program()
        self._loop = asyncio.new_event_loop()
        self._number = 0
        self.requests: list[str] = []
        """Addresses that the page asked for."""
        self.errors: list[str] = []
        """Exceptions, console errors, and what the page's own policy refused."""

    def __enter__(self) -> Browser:
        self._folder = tempfile.TemporaryDirectory(prefix="reelmill-browser-", ignore_cleanup_errors=True)
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        flags += ["--remote-debugging-port=0", f"--user-data-dir={self._folder.name}", "about:blank"]
        self._process = subprocess.Popen(
            [self._program, *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            self._loop.run_until_complete(self._connect())
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if hasattr(self, "_session"):
            self._loop.run_until_complete(self._session.close())
        self._loop.close()
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def open(self, page: Path, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Load a file and wait until it is there as a whole."""
        media = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=media)
        phone = width < 600
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        self.call("Page.navigate", url=page.as_uri())
        ends = time.monotonic() + _PATIENCE_S
        while self.value("document.readyState") != "complete" or self.value("location.href") != page.as_uri():
            assert time.monotonic() < ends, f"{page} does not load"
            time.sleep(0.05)

    def value(self, expression: str) -> Any:
        """What an expression gives in the page; promises are waited for."""
        told = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def call(self, method: str, **given: Any) -> dict[str, Any]:
        """One command of the protocol."""
        return self._loop.run_until_complete(asyncio.wait_for(self._call(method, given), _PATIENCE_S))

    async def _connect(self) -> None:
        port = Path(self._folder.name, "DevToolsActivePort")
        ends = time.monotonic() + _PATIENCE_S
        while not port.exists() or len(port.read_text().split()) < 2:
            assert self._process.poll() is None, "the browser ended at once"
            assert time.monotonic() < ends, "the browser does not start"
            await asyncio.sleep(0.05)
        self._session = aiohttp.ClientSession()
        async with self._session.get(f"http://127.0.0.1:{port.read_text().split()[0]}/json/list") as answer:
            pages = [one for one in await answer.json() if one["type"] == "page"]
        self._socket = await self._session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0)
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self._call(f"{domain}.enable", {})

    async def _call(self, method: str, given: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        number = self._number
        await self._socket.send_json({"id": number, "method": method, "params": given})
        while True:
            told = json.loads((await self._socket.receive()).data)
            if told.get("id") == number:
                assert "error" not in told, told
                return dict(told["result"])
            self._note(told.get("method", ""), told.get("params", {}))

    def _note(self, event: str, told: dict[str, Any]) -> None:
        if event == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif event == "Network.loadingFailed":
            self.errors.append(f"not loaded: {told['errorText']}")
        elif event == "Runtime.exceptionThrown":
            self.errors.append(told["exceptionDetails"]["text"])
        elif event == "Runtime.consoleAPICalled" and told["type"] in ("error", "assert"):
            self.errors.append(str(told["args"]))
        elif event == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.errors.append(told["entry"]["text"])
