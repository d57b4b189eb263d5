"""OpenAI's chat protocol: one question about one clip, and what a server's answer means.

Servers differ in what they say when something is wrong. Here every answer becomes one of four things: an `Answer`;
a `Refused` question, which costs its own clip the caption; a `Fault`, after which the same question may be asked
again; or a `UserError`, since asking anything again is useless.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from curation.errors import UserError
from curation.models.captioners import Answer, Shown
from curation.recipe_caption import Endpoint, Style

# No honest answer is longer. Bytes.
LONGEST = 4 << 20
_SAID = 160
_REFUSING = (400, 403, 404, 405, 406, 413, 414, 415, 422, 451)
_BUSY = (429, 503, 529)
# What servers say in a 429 that no waiting mends.
_NO_MONEY = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")


class Fault(Exception):
    """The server did not answer as it should; the same question may well be answered later."""

    def __init__(self, reason: str, *, busy: bool = False, wait_s: float | None = None):
        super().__init__(reason)
        self.busy = busy
        """Whether the server asks for fewer questions."""
        self.wait_s = wait_s
        """How long it asks to wait."""


class Refused(Exception):
    """The server does not take this question; others may be answered."""


def address(endpoint: Endpoint) -> str:
    return f"{endpoint.url.rstrip('/')}/chat/completions"


def question(endpoint: Endpoint, style: Style, clip: Shown) -> dict[str, Any]:
    """The body of a request: the pictures as base64, and the prompt."""
    pictures = [base64.b64encode(jpeg).decode() for jpeg in clip.jpegs]
    if endpoint.pictures == "video":
        # vLLM's way to send the frames of a video (VideoMediaIO, media type video/jpeg).
        shown = [{"type": "video_url", "video_url": {"url": f"data:video/jpeg;base64,{','.join(pictures)}"}}]
    else:
        shown = [{"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{one}"}} for one in pictures]
    content = [*shown, {"type": "text", "text": style.prompt}]
    return {"messages": [{"role": "user", "content": content}], **parameters(endpoint, style)}


def parameters(endpoint: Endpoint, style: Style) -> dict[str, Any]:
    """All of a request but clip and prompt."""
    usual = {"model": endpoint.model, "max_tokens": style.max_tokens, "temperature": endpoint.temperature}
    return {key: value for key, value in (usual | endpoint.body).items() if value is not None}


def answer(endpoint: Endpoint, status: int, headers: Mapping[str, str], body: bytes, *, ever: bool) -> Answer:
    """What a server's answer says of the clip.

    Args:
        ever: whether this server has answered before, so that address, key and model are right.

    Raises:
        Refused, Fault, UserError.
    """
    if status == 200:
        return _told(endpoint, body)
    said = _message(body)
    reason = f"the server answered {status}" + (f": {said}" if said else "")
    where = f"caption.endpoint: {endpoint.url}"
    if 300 <= status < 400:
        raise UserError(f"{where} leads elsewhere ({status}); give the address that it leads to")
    if status in (401, 402, 407) or (status == 429 and _code(body) in _NO_MONEY):
        raise UserError(
            f"{where} takes no questions, {reason}; look at the account, and at caption.endpoint.api_key_env"
        )
    if status in (403, 404, 405) and not ever:
        raise UserError(f"{where} has no {endpoint.model!r} at this address, or not for this key: {reason}")
    if status in _REFUSING:
        raise Refused(reason)
    raise Fault(reason, busy=status in _BUSY, wait_s=_wait(headers))


def _told(endpoint: Endpoint, body: bytes) -> Answer:
    try:
        said = json.loads(body)
        choice = said["choices"][0]
        message = choice["message"]
        content = message.get("content")
        refusal = message.get("refusal")
        finish = choice.get("finish_reason")
    except (ValueError, RecursionError):
        raise Fault("the server answered something that is not JSON") from None
    except (KeyError, IndexError, TypeError, AttributeError):
        raise Fault("the server answered without a choice") from None
    if isinstance(content, list):
        content = "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    spent = _spent(endpoint, said.get("usage"))
    if isinstance(refusal, str) and refusal.strip():
        return Answer(refusal, refused=True, **spent)
    if isinstance(content, str) and content.strip():
        return Answer(content, truncated=finish == "length", refused=finish == "content_filter", **spent)
    if finish == "length":
        return Answer(error="no word of an answer within max_tokens", **spent)
    if finish == "content_filter":
        return Answer(error="withheld by the server's content filter", **spent)
    raise Fault("the server answered without a word")


def _spent(endpoint: Endpoint, usage: Any) -> dict[str, Any]:
    usage = usage if isinstance(usage, dict) else {}
    given, made = (_count(usage.get(name)) for name in ("prompt_tokens", "completion_tokens"))
    prices = endpoint.prices
    dollars = (given * prices.input + made * prices.output) / 1e6 if prices else 0.0
    return {"tokens_in": given, "tokens_out": made, "dollars": dollars}


def _count(value: Any) -> int:
    return value if isinstance(value, int) and 0 <= value < 1 << 40 else 0


def _error(body: bytes) -> Any:
    """OpenAI's `error` object, or what vLLM, FastAPI and others send in its place."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return body.decode(errors="replace") if len(body) < 10_000 else None
    return (
        next((said[key] for key in ("error", "detail", "message") if said.get(key)), None)
        if isinstance(said, dict)
        else said
    )


def _message(body: bytes) -> str:
    error = _error(body)
    text = error.get("message") if isinstance(error, dict) else error
    text = " ".join(str(text or "").split())
    return text if len(text) <= _SAID else f"{text[:_SAID]}…"


def _code(body: bytes) -> str:
    error = _error(body)
    return str(error.get("code") or error.get("type") or "") if isinstance(error, dict) else ""


def _wait(headers: Mapping[str, str]) -> float | None:
    """Retry-After: seconds, or a date (RFC 9110)."""
    text = headers.get("Retry-After", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            then = parsedate_to_datetime(text)
        except (TypeError, ValueError, IndexError):
            return None
        then = then if then.tzinfo else then.replace(tzinfo=timezone.utc)
        seconds = (then - datetime.now(timezone.utc)).total_seconds()
    return max(0.0, seconds) if seconds == seconds else None
