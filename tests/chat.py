"""A server on loopback that speaks OpenAI's chat protocol, and can be made to misbehave.

It captions what it is shown: the answer names the hash of the pictures that came with the question, so that a
caption says itself which clip it was made for.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

CUT = -1
SLOW = -2
NOT_JSON = -3
NO_CHOICE = -4
LENGTH = -5
EMPTY = -6
REFUSAL = -7
FILTERED = -8
PARTS = -9


def seen(jpegs: Sequence[bytes]) -> str:
    """What the server calls these pictures."""
    return hashlib.sha256(b"".join(jpegs)).hexdigest()[:16]


@dataclass
class ChatServer:
    """Its attributes may be changed at any time."""

    model: str = "tiny"
    key: str | None = None
    fault: Callable[[int, str], int] = lambda number, pictures: 0
    """What goes wrong with the request of this number, from 1, about these pictures: a status, or a constant above."""
    said: Callable[[str, str], str] = lambda pictures, prompt: f"A scene called {pictures}."
    delay_s: float = 0.0
    together: int = 0
    """Nothing is answered before so many requests have been there at once."""
    retry_after: str | None = None
    requests: int = 0
    answered: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    asked: list[dict[str, Any]] = field(default_factory=list)
    """The bodies of all requests, without their pictures."""
    shown: list[str] = field(default_factory=list)
    """Of which pictures each request was."""

    def __enter__(self) -> ChatServer:
        self._loop = asyncio.new_event_loop()
        self._enough = asyncio.Event()

        async def start() -> None:
            app = web.Application(client_max_size=64 << 20)
            app.router.add_post("/v1/chat/completions", self._answer)
            self._runner = web.AppRunner(app, access_log=None)
            await self._runner.setup()
            site = web.TCPSite(self._runner, "127.0.0.1", 0, shutdown_timeout=0.1)
            await site.start()
            self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(start(), self._loop).result(30)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        if self.in_flight >= self.together:
            self._enough.set()
        try:
            return await self._said(request)
        finally:
            self.in_flight -= 1

    async def _said(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        number = self.requests
        body = await request.json()
        jpegs, prompt = _taken(body)
        name = seen(jpegs)
        self.shown.append(name)
        self.asked.append({key: value for key, value in body.items() if key != "messages"} | {"prompt": prompt})
        if self.key is not None and request.headers.get("Authorization") != f"Bearer {self.key}":
            given = request.headers.get("Authorization", "").removeprefix("Bearer ")
            return _failed(401, f"Incorrect API key provided: {given}", "invalid_api_key")
        if body.get("model") != self.model:
            return _failed(404, f"The model {body.get('model')!r} does not exist.", "model_not_found")
        fault = self.fault(number, name)
        await self._enough.wait()
        await asyncio.sleep(3600 if fault == SLOW else self.delay_s)
        if fault == CUT:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if fault == NOT_JSON:
            return web.Response(text="<html>Bad gateway</html>", content_type="text/html")
        if fault > 0:
            return _failed(fault, f"a fault of kind {fault}", None, self.retry_after)
        self.answered += 1
        message: dict[str, Any] = {"role": "assistant", "content": self.said(name, prompt)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        if fault == LENGTH:
            choice["finish_reason"] = "length"
            message["content"] = message["content"].rstrip(".")
        if fault == EMPTY:
            message["content"] = ""
        if fault == REFUSAL:
            message |= {"content": None, "refusal": "I'm sorry, I can't help with that."}
        if fault == FILTERED:
            message["content"], choice["finish_reason"] = None, "content_filter"
        if fault == PARTS:
            message["content"] = [{"type": "text", "text": message["content"]}]
        usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        choices = [] if fault == NO_CHOICE else [choice]
        return web.json_response(
            {"id": f"chatcmpl-{number}", "object": "chat.completion", "choices": choices, "usage": usage}
        )


def _taken(body: dict[str, Any]) -> tuple[list[bytes], str]:
    """The pictures and the prompt of a request."""
    jpegs, prompt = [], ""
    for part in body["messages"][-1]["content"]:
        if part["type"] == "text":
            prompt = part["text"]
            continue
        header, _, data = part[part["type"]]["url"].partition(",")
        assert header in ("data:image/jpeg;base64", "data:video/jpeg;base64")
        for one in data.split(","):
            jpegs.append(base64.b64decode(one, validate=True))
            assert jpegs[-1].startswith(b"\xff\xd8")
    return jpegs, prompt


def _failed(status: int, message: str, code: str | None, retry_after: str | None = None) -> web.Response:
    headers = {"Retry-After": retry_after} if retry_after else {}
    error = {"message": message, "type": "error", "code": code}
    return web.Response(
        status=status, text=json.dumps({"error": error}), content_type="application/json", headers=headers
    )
