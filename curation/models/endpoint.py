"""Captions from a server that speaks OpenAI's chat protocol, many questions at a time.

All units of a run share one process, one loop and one count of requests in flight, so that the recipe's limit is
the limit. Each question has a task of its own, which knows its clip from beginning to end.
"""

from __future__ import annotations

import asyncio
import os
import queue
import random
import threading
import time
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any

from curation.errors import UserError
from curation.models import chat
from curation.models.captioners import Answer, Captioner, Shown, Spent, prompt_hash
from curation.models.chat import Fault, Refused
from curation.recipe_caption import Endpoint, Style

# After so many clips in a row that were given up, with no answer in between, it is the server's fault.
_DOWN = 10
# A server where nobody listens is asked this often before anything was answered.
_KNOCKS = 3
_LONGEST_WAIT_S = 60.0
# How long one question waits in all for a server that is busy, beyond its tries.
_PATIENCE_S = 900.0


class EndpointCaptioner(Captioner):
    """See `recipe_caption.Endpoint`."""

    name = "endpoint"
    remembered = True

    def __init__(self, endpoint: Endpoint):
        self.model = endpoint.model
        self._endpoint = endpoint
        self._spent = Spent()
        self._stopped: UserError | None = None
        self._flying = 0
        self._ever = False
        self._given_up = self._knocks = 0
        self._not_before = 0.0

    def setup(self) -> None:
        self._key = _key(self._endpoint.api_key_env)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True, name="endpoint").start()
        self._do(self._open()).result()

    def close(self) -> None:
        """Let go of the connections."""
        self._do(self._session.close()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)

    def resume(self, spent: Spent) -> None:
        self._spent = spent

    def identity(self, style: Style) -> Any:
        """Not the address: the same model at another place gives the same answers."""
        asked = chat.parameters(self._endpoint, style)
        return [self.name, self._endpoint.pictures, prompt_hash(style.prompt), asked]

    def caption(self, clips: Sequence[Shown], style: Style) -> Iterator[tuple[str, Answer]]:
        """Answers as they come.

        Raises:
            UserError: the server is down, refuses everything, or the budget is used up; what was in flight
                has been answered before.
        """
        given: queue.SimpleQueue[tuple[str, Answer] | None] = queue.SimpleQueue()
        asking = self._do(self._all([clip for clip in clips if clip.jpegs], style, given))
        try:
            while (one := given.get()) is not None:
                yield one
            asking.result()
        finally:
            asking.cancel()

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _open(self) -> None:
        import aiohttp

        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        timeout = aiohttp.ClientTimeout(total=self._endpoint.timeout_s)
        connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout)
        self._slots = asyncio.Semaphore(self._endpoint.concurrency)

    async def _all(self, clips: Sequence[Shown], style: Style, given: queue.SimpleQueue[Any]) -> None:
        try:
            ended = await asyncio.gather(*(self._one(clip, style, given) for clip in clips), return_exceptions=True)
            for error in ended:
                if isinstance(error, BaseException):
                    raise error
        finally:
            given.put(None)

    async def _one(self, clip: Shown, style: Style, given: queue.SimpleQueue[Any]) -> None:
        async with self._slots:
            given.put((clip.clip_id, await self._answered(clip, style)))

    async def _answered(self, clip: Shown, style: Style) -> Answer:
        """An answer, or why there is none after all tries."""
        body = chat.question(self._endpoint, style, clip)
        tries, asked_first = 0, time.monotonic()
        while True:
            await self._turn()
            try:
                answer = await self._ask(body)
            except Refused as refused:
                self._give_up(str(refused))
                return Answer(error=self._without_key(refused))
            except Fault as fault:
                reason = self._without_key(fault)
                tries += not (fault.busy and time.monotonic() - asked_first < _PATIENCE_S)
                if tries >= self._endpoint.tries:
                    self._give_up(reason)
                    return Answer(error=f"{reason} ({tries} tries)", passing=True)
                await self._wait(fault, tries)
            except UserError as error:
                raise self._stop(UserError(self._without_key(error))) from None
            else:
                self._ever, self._given_up = True, 0
                return answer

    async def _turn(self) -> None:
        """Until the server may be asked again; raises where nothing more is asked."""
        while (pause := self._not_before - time.monotonic()) > 0 and not self._stopped:
            await asyncio.sleep(min(pause, 1.0))
        if self._stopped:
            raise self._stopped
        if used := self._used_up():
            raise self._stop(
                UserError(
                    f"caption.endpoint.budget: {used}; the answers are kept, raise it and run again with --update "
                    "to go on from here"
                )
            )

    async def _ask(self, body: dict[str, Any]) -> Answer:
        import aiohttp

        self._flying += 1
        try:
            where = chat.address(self._endpoint)
            async with self._session.post(where, json=body, allow_redirects=False) as response:
                content = await _bounded(response)
                answer = chat.answer(self._endpoint, response.status, response.headers, content, ever=self._ever)
        except aiohttp.ClientConnectorError as error:
            raise self._unconnected(error) from None
        except asyncio.TimeoutError:
            raise Fault(f"no answer within {self._endpoint.timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Fault(f"the connection broke ({type(error).__name__})") from None
        finally:
            self._flying -= 1
        self._pay(answer)
        return answer

    def _unconnected(self, error: Exception) -> Fault | UserError:
        """Nobody listens: never the clip's fault. A server that once answered may come back."""
        self._knocks = 0 if self._ever else self._knocks + 1
        reason = " ".join(str(error).split())[:200]
        if self._knocks >= _KNOCKS:
            return UserError(f"caption.endpoint: no server at {self._endpoint.url}: {reason}")
        return Fault(f"cannot connect: {reason}")

    async def _wait(self, fault: Fault, tries: int) -> None:
        """The server's own wish where it has one; or longer with every try, spread so that not all return at once."""
        if fault.wait_s is not None and fault.wait_s > _PATIENCE_S:
            raise self._stop(
                UserError(
                    f"caption.endpoint: {self._endpoint.url} asks to come back in {fault.wait_s:.0f} s; "
                    "the answers are kept, run again then"
                )
            )
        pause = min(self._endpoint.backoff_s * 2.0 ** max(tries - 1, 0), _LONGEST_WAIT_S) * random.uniform(0.5, 1.5)
        pause = pause if fault.wait_s is None else fault.wait_s
        if fault.busy:  # then nobody asks for a while
            self._not_before = max(self._not_before, time.monotonic() + pause)
        else:
            await asyncio.sleep(pause)

    def _give_up(self, reason: str) -> None:
        self._given_up += 1
        if self._given_up >= _DOWN:
            what = "answers nothing more" if self._ever else "answers nothing"
            raise self._stop(
                UserError(
                    f"caption.endpoint: {self._endpoint.url} {what}, {self._given_up} clips in a row failed, the last: "
                    f"{self._without_key(reason)}; the answers so far are kept, run again to go on"
                )
            )

    def _stop(self, error: UserError) -> UserError:
        """From now on nothing is asked; the first reason counts."""
        self._stopped = self._stopped or error
        return self._stopped

    def _pay(self, answer: Answer) -> None:
        spent = self._spent
        tokens = answer.tokens_in + answer.tokens_out
        self._spent = Spent(spent.requests + 1, spent.tokens + tokens, spent.dollars + answer.dollars)

    def _used_up(self) -> str | None:
        budget, spent = self._endpoint.budget, self._spent
        if budget is None:
            return None
        if budget.requests is not None and spent.requests + self._flying >= budget.requests:
            return f"all {budget.requests} requests are used up"
        if budget.tokens is not None and spent.tokens >= budget.tokens:
            return f"{spent.tokens} of {budget.tokens} tokens are used up"
        if budget.dollars is not None and spent.dollars >= budget.dollars:
            return f"${spent.dollars:.2f} of ${budget.dollars:.2f} are used up"
        return None

    def _without_key(self, said: object) -> str:
        text = str(said)
        return text.replace(self._key, "…") if self._key else text


def _key(name: str | None) -> str:
    if name is None:
        return ""
    key = os.environ.get(name, "").strip()
    if not key:
        raise UserError(
            f"caption.endpoint.api_key_env: the environment variable {name} is not set where the workers run"
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise UserError(f"caption.endpoint.api_key_env: {name} holds what no key does (spaces, line ends, accents)")
    return key


async def _bounded(response: Any) -> bytes:
    """The body of a response, of which nobody knows the length."""
    content = bytearray()
    async for piece in response.content.iter_any():
        content += piece
        if len(content) > chat.LONGEST:
            raise Fault(f"the server's answer is longer than {chat.LONGEST >> 20} MB")
    return bytes(content)
