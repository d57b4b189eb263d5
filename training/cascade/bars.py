"""How far the work is, for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Over = Callable[[Iterable[Any]], Iterable[Any]]
"""Wraps some steps of work, to show how far they are."""
Bars = Callable[[str], Over]
"""The name of a work to its bar."""


@contextmanager
def bars(console: Console) -> Iterator[Bars]:
    """A bar for every work that begins; nothing where no person looks."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    shown = Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal)

    def bar(name: str) -> Over:
        def over(work: Iterable[Any]) -> Iterator[Any]:
            steps = list(work)
            task = shown.add_task(name, total=len(steps))
            for step in steps:
                yield step
                shown.advance(task)
            shown.remove_task(task)

        return over

    with shown:
        yield bar
