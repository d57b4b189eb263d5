"""The report as a person sees it: opened in a real browser, wide and narrow, light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from curation import reporting
from tests.browser import Browser, program

WIDE, PHONE = 1280, 390

# Lazily loaded pictures are fetched now; the widths of pictures that could not be decoded are 0.
PICTURES = """(async () => {
  const images = [...document.images];
  for (const one of images) one.loading = 'eager';
  await Promise.all(images.map(one => one.decode().catch(() => {})));
  return images.map(one => [one.naturalWidth, one.getBoundingClientRect().width, one.getBoundingClientRect().height]);
})()"""
# Width and height of everything that is to be looked at, of an element of each kind and of each figure.
FIGURES = """[...document.querySelectorAll(
    'figure, svg, .plot, .steps .track, .costs .track, .cards .frame, h1, h2, h3')]
  .map(one => [one.tagName + ' ' + (one.className.baseVal ?? one.className), one.getBoundingClientRect()])
  .filter(([name, box]) => box.width < 4 || box.height < 4).map(([name, box]) => name)"""
# What reaches out of the page, but for tables in boxes of their own that can be scrolled.
TOO_WIDE = """[document.documentElement, ...document.querySelectorAll('main *, header .words *')]
  .filter(one => one.getBoundingClientRect().right > WIDTH + 1 && !one.closest('.scroll, .track, pre'))
  .map(one => one.tagName + '.' + one.className)"""
# Names of rows that are squeezed to a few letters a line.
SQUEEZED = """[...document.querySelectorAll('th[scope=row]')].map(one => one.getBoundingClientRect())
  .filter(box => box.height > 80 && box.height > box.width).length"""
# Charts in which the numbers below the axis lie on each other.
OVERLAPPING = """[...document.querySelectorAll('.ticks')].filter(one => {
  const boxes = [...one.children].map(tick => tick.getBoundingClientRect());
  return boxes.some((box, at) => at && boxes[at - 1].right > box.left + 1);
}).length"""
PLAYED = """(async () => {
  const frame = document.querySelector('#kept .frame[tabindex]');
  const strip = frame.querySelector('.strip');
  const seen = new Set();
  frame.focus();
  for (let turn = 0; turn < 200 && seen.size < 3; turn++) {
    seen.add(getComputedStyle(strip).objectPosition);
    await new Promise(done => setTimeout(done, 50));
  }
  return seen.size;
})()"""


@pytest.fixture(scope="module")
def page(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    program()
    to = tmp_path_factory.mktemp("page") / "report.html"
    reporting.report(str(dataset), str(to), ["report.playing=3", "report.clips=6"])
    return to


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as started:
        yield started


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_the_page_is_whole(browser: Browser, page: Path, width: int, dark: bool) -> None:
    browser.errors.clear()
    browser.requests.clear()
    browser.open(page, width=width, dark=dark)
    pictures = browser.value(PICTURES)
    assert len(pictures) > 10 and all(min(one) > 1 for one in pictures)
    assert browser.value(FIGURES) == []
    assert browser.value(TOO_WIDE.replace("WIDTH", str(width))) == []
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value(OVERLAPPING) == 0 and browser.value(SQUEEZED) == 0
    assert browser.errors == []
    assert [url for url in browser.requests if not url.startswith("data:")] == [page.as_uri()]


def test_dark_and_light_can_be_told_apart_and_read(browser: Browser, page: Path) -> None:
    colours = "(one => [one.backgroundColor, one.color])(getComputedStyle(document.body))"
    found = []
    for dark in (False, True):
        browser.open(page, dark=dark)
        paper, ink = (sum(map(int, told[4:-1].split(","))) for told in browser.value(colours))
        assert abs(paper - ink) > 450
        found.append(paper)
    assert found[0] > found[1] + 450


def test_a_kept_clip_plays_when_it_is_looked_at(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.call("Emulation.setFocusEmulationEnabled", enabled=True)
    assert browser.value("document.querySelectorAll('#kept .play').length") == 3
    assert browser.value(PLAYED) == 3


def test_every_picture_and_figure_is_told_in_words(browser: Browser, page: Path) -> None:
    browser.open(page)
    silent = {
        "[...document.images].filter(one => !one.alt && !one.closest('[aria-hidden]'))",
        "[...document.querySelectorAll('svg')].filter(one => !one.getAttribute('aria-label'))",
        "[...document.querySelectorAll('figure')].filter(one => !one.querySelector('h3'))",
    }
    assert [one for one in silent if browser.value(f"{one}.length")] == []
    levels = browser.value("[...document.querySelectorAll('h1, h2, h3, h4')].map(one => +one.tagName[1])")
    assert levels[0] == 1 and all(after <= before + 1 for before, after in zip(levels, levels[1:]))
