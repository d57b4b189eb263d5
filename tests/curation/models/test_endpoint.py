"""An endpoint is asked within its limits, its faults are borne, and every answer reaches its own clip."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import UserError
from curation.models.captioners import Answer, Shown, Spent
from curation.models.chat import Fault, Refused, answer
from curation.models.endpoint import EndpointCaptioner
from curation.recipe_caption import Endpoint, Style
from tests import chat
from tests.chat import ChatServer, seen

STYLE = Style(prompt="What is seen?", max_tokens=50)


def clips(count: int, pictures: int = 2) -> list[Shown]:
    """Clips with pictures of their own."""
    shown = []
    for number in range(count):
        rng = np.random.default_rng(number)
        jpegs = [bytes(cv2.imencode(".jpg", rng.integers(0, 255, (16, 16, 3), np.uint8))[1]) for _ in range(pictures)]
        shown.append(Shown(f"{number:016x}", jpegs, None, 0.5, 0.1, 0.0, 0.0))
    return shown


@contextlib.contextmanager
def captioner(server: ChatServer, **given: object) -> Iterator[EndpointCaptioner]:
    facts = {"url": server.url, "model": server.model, "backoff_s": 0.001, "concurrency": 8, "timeout_s": 20} | given
    endpoint = EndpointCaptioner(Endpoint(**facts))
    endpoint.setup()
    yield endpoint
    endpoint.close()


def ask(endpoint: EndpointCaptioner, shown: list[Shown], style: Style = STYLE) -> dict[str, Answer]:
    answers = list(endpoint.caption(shown, style))
    assert len(dict(answers)) == len(answers)
    return dict(answers)


def named(shown: list[Shown]) -> dict[str, str]:
    """What the server says of each clip when all goes well."""
    return {clip.clip_id: f"A scene called {seen(clip.jpegs)}." for clip in shown}


_KINDS = [0, 0, 0, 429, 500, 503, chat.CUT, chat.NOT_JSON, chat.NO_CHOICE, chat.EMPTY, chat.PARTS]


@settings(max_examples=60)
@given(st.lists(st.sampled_from(_KINDS), max_size=40), st.integers(1, 12), st.integers(1, 8), st.booleans())
def test_whatever_fails_and_is_tried_again_no_caption_reaches_another_clip(
    faults: list[int], count: int, concurrency: int, video: bool
) -> None:
    shown = clips(count)
    with ChatServer(fault=lambda number, _: faults[number - 1] if number <= len(faults) else 0) as server:
        as_what = "video" if video else "images"
        with captioner(server, concurrency=concurrency, tries=50, pictures=as_what) as endpoint:
            answers = ask(endpoint, shown)
    assert {clip_id: answer.text for clip_id, answer in answers.items()} == named(shown)
    assert server.most_in_flight <= concurrency


def test_clip_that_never_gets_an_answer_costs_its_own_caption() -> None:
    shown = clips(12)
    bad = {seen(shown[2].jpegs): 400, seen(shown[5].jpegs): 500, seen(shown[7].jpegs): chat.CUT}
    with ChatServer(fault=lambda _, pictures: bad.get(pictures, 0)) as server, captioner(server, tries=3) as endpoint:
        answers = ask(endpoint, shown)
    wanted: dict[str, str | None] = {**named(shown)}
    without = {number: answers[shown[number].clip_id] for number in (2, 5, 7)}
    assert {clip_id: answer.text for clip_id, answer in answers.items()} == wanted | {
        shown[number].clip_id: None for number in without
    }
    assert without[2] == Answer(error="the server answered 400: a fault of kind 400")
    assert without[5] == Answer(error="the server answered 500: a fault of kind 500 (3 tries)", passing=True)
    assert without[7].passing and "connection broke" in str(without[7].error)
    assert server.shown.count(seen(shown[2].jpegs)) == 1
    assert server.shown.count(seen(shown[5].jpegs)) == 3


def test_answers_say_how_they_ended() -> None:
    shown = clips(4)
    kinds = dict(zip((seen(clip.jpegs) for clip in shown), (chat.LENGTH, chat.REFUSAL, chat.FILTERED, 0)))
    with ChatServer(fault=lambda _, pictures: kinds[pictures]) as server, captioner(server) as endpoint:
        cut, refused, filtered, good = (ask(endpoint, shown)[clip.clip_id] for clip in shown)
    assert cut.truncated and cut.text and not good.truncated
    assert refused.refused and refused.text == "I'm sorry, I can't help with that."
    assert filtered.text is None and "content filter" in str(filtered.error)
    assert (good.tokens_in, good.tokens_out) == (100, 10)


def test_busy_server_is_left_alone_for_as_long_as_it_asks() -> None:
    shown = clips(6)
    server = ChatServer(fault=lambda number, _: 429 if number == 1 else 0, retry_after="1")
    with server, captioner(server, concurrency=1, tries=1) as endpoint:  # a busy server costs no tries
        answers = ask(endpoint, shown)
    assert {clip_id: answer.text for clip_id, answer in answers.items()} == named(shown)
    assert server.requests == 7


def test_server_that_asks_to_wait_for_hours_ends_the_run() -> None:
    server = ChatServer(fault=lambda *_: 429, retry_after="7200")
    with server, captioner(server) as endpoint, pytest.raises(UserError, match="come back in 7200 s"):
        ask(endpoint, clips(3))


def test_slow_answer_is_asked_for_again() -> None:
    shown = clips(3)
    server = ChatServer(fault=lambda number, _: chat.SLOW if number == 1 else 0)
    with server, captioner(server, timeout_s=2.0, tries=50) as endpoint:
        answers = ask(endpoint, shown)
    assert {clip_id: answer.text for clip_id, answer in answers.items()} == named(shown)


def test_requests_in_flight_stay_at_the_limit_over_all_units() -> None:
    """Each of five units has too few clips to fill the limit; together they do, and never pass it."""
    shown = clips(60)
    server = ChatServer(together=20)
    with server, captioner(server, concurrency=20) as endpoint:
        units = [threading.Thread(target=ask, args=(endpoint, shown[start::5])) for start in range(5)]
        for unit in units:
            unit.start()
        for unit in units:
            unit.join(60)
    assert server.most_in_flight == 20
    assert sorted(server.shown) == sorted(seen(clip.jpegs) for clip in shown)


@pytest.mark.parametrize(
    ("budget", "spent", "least", "most"),
    [
        ({"requests": 7}, Spent(), 7, 7),
        ({"requests": 7}, Spent(requests=5), 2, 2),
        ({"tokens": 440}, Spent(), 4, 7),
        ({"dollars": 0.01}, Spent(dollars=0.0099), 1, 4),
        ({"requests": 0}, Spent(), 0, 0),
    ],
)
def test_budget_ends_the_run_and_what_was_paid_for_is_given(budget: dict, spent: Spent, least: int, most: int) -> None:
    prices = {"input": 1.0, "output": 10.0}
    got = {}
    server = ChatServer(delay_s=0.01)
    with server, captioner(server, concurrency=4, budget=budget, prices=prices) as endpoint:
        endpoint.resume(spent)
        with pytest.raises(UserError, match=r"caption\.endpoint\.budget: .* used up"):
            for clip_id, answer in endpoint.caption(clips(30), STYLE):
                got[clip_id] = answer
    assert least <= server.answered <= most
    assert len(got) == server.answered
    assert all(answer.dollars == pytest.approx(0.0002) for answer in got.values())


def test_server_that_goes_down_ends_the_run_instead_of_leaving_clips_empty() -> None:
    shown = clips(40)
    server = ChatServer(fault=lambda number, _: 500 if number > 5 else 0)
    said = "answers nothing more, 10 clips in a row failed, the last: .* 500"
    with server, captioner(server, concurrency=1, tries=1) as endpoint, pytest.raises(UserError, match=said):
        ask(endpoint, shown)
    assert server.requests == 15


def test_address_where_nobody_listens_is_said_at_once() -> None:
    with ChatServer() as server:
        pass
    with captioner(server) as endpoint, pytest.raises(UserError, match="no server at http://127"):
        ask(endpoint, clips(3))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"model": "huge"}, "has no 'huge' at this address"),
        ({"url": "/v2"}, "has no 'tiny' at this address"),
    ],
)
def test_wrong_model_or_address_ends_the_run(given: dict, said: str) -> None:
    with ChatServer() as server:
        if "url" in given:
            given = {"url": server.url.replace("/v1", given["url"])}
        with captioner(server, **given) as endpoint, pytest.raises(UserError, match=said):
            ask(endpoint, clips(3))


def test_key_comes_from_the_environment_and_is_never_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_KEY", "sk-secret")
    with ChatServer(key="sk-secret") as server, captioner(server, api_key_env="CHAT_KEY") as endpoint:
        assert len(ask(endpoint, clips(2))) == 2
        server.key = "sk-other"
        with pytest.raises(UserError, match="401: Incorrect API key provided: …; look at the account"):
            ask(endpoint, clips(2))
    monkeypatch.delenv("CHAT_KEY")
    with pytest.raises(UserError, match="CHAT_KEY is not set"):
        EndpointCaptioner(Endpoint(url="http://x/v1", model="m", api_key_env="CHAT_KEY")).setup()


def test_request_says_what_the_recipe_says() -> None:
    body = {"top_p": 0.9, "max_tokens": None, "max_completion_tokens": 7}
    with ChatServer() as server, captioner(server, body=body, temperature=0.5) as endpoint:
        ask(endpoint, clips(1))
    assert server.asked == [
        {"model": "tiny", "temperature": 0.5, "top_p": 0.9, "max_completion_tokens": 7, "prompt": "What is seen?"}
    ]


def test_identity_is_all_that_decides_an_answer_and_nothing_else() -> None:
    usual = Endpoint(url="http://one/v1", model="m")
    identity = EndpointCaptioner(usual).identity(STYLE)
    for same in ({"url": "http://two/v1"}, {"concurrency": 3}, {"tries": 2}, {"api_key_env": "KEY"}):
        assert EndpointCaptioner(usual.model_copy(update=same)).identity(STYLE) == identity
    for other in ({"model": "n"}, {"temperature": 1.0}, {"body": {"seed": 1}}, {"pictures": "video"}):
        assert EndpointCaptioner(usual.model_copy(update=other)).identity(STYLE) != identity
    for style in (STYLE.model_copy(update={"prompt": "?"}), STYLE.model_copy(update={"max_tokens": 9})):
        assert EndpointCaptioner(usual).identity(style) != identity


_SAID = st.recursive(
    st.none() | st.text(max_size=5) | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "message", "content", "usage", "error", "refusal", "finish_reason"]),
            inner,
            max_size=3,
        )
    ),
)


@given(
    st.one_of(st.binary(max_size=60), _SAID.map(lambda said: json.dumps(said).encode())),
    st.sampled_from([200, 200, 301, 400, 401, 404, 429, 500]),
    st.text(max_size=10),
)
def test_whatever_a_server_says_is_one_of_four_things(body: bytes, status: int, wait: str) -> None:
    endpoint = Endpoint(url="http://x/v1", model="m")
    with contextlib.suppress(Fault, Refused, UserError):
        told = answer(endpoint, status, {"Retry-After": wait}, body, ever=True)
        assert bool(told.text) != bool(told.error)
