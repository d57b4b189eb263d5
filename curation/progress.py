"""What a person sees while a phase runs: how far, how fast, how long still, how many failures."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from curation.work import Done

# Seconds between lines where there is no terminal to draw a bar on.
_LINE_EVERY_S = 15.0


class PhaseProgress:
    """A bar on a terminal, a line now and then elsewhere. On stderr, so that stdout stays clean."""

    def __init__(self, console: Console, name: str, units: int, done: int):
        self._console, self._name, self._units, self._done = console, name, units, done
        self._already = self._told = done
        self._counts: dict[str, int] = {}
        self._started = self._last_line = time.monotonic()
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("[bold]{task.description:<8}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("units"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[counts]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(name, total=units, completed=done, rate="", counts="")

    def __enter__(self) -> PhaseProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        if not self._console.is_terminal and self._told != self._done:
            self._line()

    def advance(self, done: Done) -> None:
        self._done += 1
        for name, count in done.counts.items():
            self._counts[name] = self._counts.get(name, 0) + count
        self._bar.update(self._task, completed=self._done, rate=self._rate(), counts=self._described())
        if not self._console.is_terminal and time.monotonic() - self._last_line > _LINE_EVERY_S:
            self._line()

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)

    def _line(self) -> None:
        self._last_line, self._told = time.monotonic(), self._done
        left = ""
        if fresh := self._done - self._already:
            seconds = (time.monotonic() - self._started) / fresh * (self._units - self._done)
            left = (
                f", {seconds:.0f} s left" if self._done < self._units else f", {time.monotonic() - self._started:.1f} s"
            )
        self._console.print(
            f"{self._name:<8} {self._done}/{self._units} units {self._rate()}{left}  {self._described()}",
            highlight=False,
            soft_wrap=True,
        )

    def _rate(self) -> str:
        seconds = time.monotonic() - self._started
        for name in ("clips", "samples", "sources"):
            if name in self._counts and seconds > 0:
                return f"{self._counts[name] / seconds:.1f} {name}/s"
        return ""

    def _described(self) -> str:
        failed = self._counts.get("failed", 0)
        told = [f"{count} {name}" for name, count in self._counts.items() if name != "failed"]
        return ", ".join([*told, f"{failed} failed"]) if told else ""
