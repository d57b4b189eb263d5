"""One unit of a phase, from reading its rows to the commit of what it gave. Runs on any worker."""

from __future__ import annotations

import errno
import importlib
import resource
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curation import parts
from curation.errors import UserError
from curation.phases import Phase, Unit
from curation.recipe import Recipe
from curation.store import Place
from curation.versions import tools
from curation.video.jail import peak_mb


class _Phases(Mapping[str, type[Phase]]):
    """Phases by name. Each is imported when it is first asked for, so that a worker loads what it does alone."""

    _classes: Mapping[str, str] = {
        "split": "Split",
        "score": "Score",
        "caption": "Caption",
        "cut": "Cut",
        "shard": "Shard",
    }

    def __getitem__(self, name: str) -> type[Phase]:
        kind: type[Phase] = getattr(importlib.import_module(f"curation.phases.{name}"), self._classes[name])
        return kind

    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)

    def __len__(self) -> int:
        return len(self._classes)


PHASES = _Phases()


@dataclass
class Done:
    """What the driver learns of a committed unit."""

    unit: int
    counts: dict[str, int] = field(default_factory=dict)
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_mb: float = 0.0
    """Largest memory of this worker or one of its children so far, in MiB."""


# Workers keep their phases, so that weights are loaded once a worker and not once a unit.
_ready: dict[tuple[str, str], Phase] = {}
_setting_up = threading.Lock()
# CPU seconds of this process when a unit last ended: units that run at the same time share what is spent.
_told_cpu_s = 0.0


def perform(name: str, recipe_json: str, root: str, unit: Unit, again: bool = False) -> Done:
    """Do a unit and commit it. The same unit always commits the same bytes.

    Args:
        again: an earlier try may have come as far as the commit before its worker was lost; then nothing is done.
    """
    wall, cpu = time.monotonic(), _cpu_s()
    _check(unit.tools)
    phase = _phase(name, recipe_json)
    out = Place(root)
    if again and _committed(out, phase, unit):
        return Done(unit.number, {"already": 1})
    with tempfile.TemporaryDirectory(prefix="reelmill-") as scratch:
        try:
            output = phase.process(unit, phase.rows(out, unit), Path(scratch))
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                folder = tempfile.gettempdir()
                raise UserError(
                    f"no space left in {folder} of a worker; make room, or set TMPDIR, and run again"
                ) from error
            raise
        parts.revoke(out, phase.writes[-1], unit.number, unit.fingerprint)
        for path, file in output.files.items():
            out.commit(path, file)
        footer: dict[str, Any] = {"phase": name, "fingerprint": unit.fingerprint, "tools": tools(), **output.notes}
        for table in phase.writes:
            parts.commit(out, table, unit.number, output.tables[table], phase.schema(table), footer)
    return Done(unit.number, output.counts, time.monotonic() - wall, _cpu_since(cpu), _peak_mb())


def _committed(out: Place, phase: Phase, unit: Unit) -> bool:
    if not out.exists(parts.path(phase.writes[-1], unit.number)):
        return False
    said = parts.footer(out, phase.writes[-1], unit.number)
    return said.get("fingerprint") == unit.fingerprint and not said.get("unreachable")


def _check(wanted: dict[str, str] | None) -> None:
    """Other versions would give other bytes."""
    for tool, version in (wanted or {}).items():
        if (here := tools()[tool]) != version:
            raise UserError(
                f"the worker on {socket.gethostname()} has {tool} {here} where the run was started with {version}; "
                "install the same versions everywhere, as constraints.txt lists them"
            )


def _phase(name: str, recipe_json: str) -> Phase:
    key = (name, recipe_json)
    with _setting_up:
        if key not in _ready:
            phase = PHASES[name](Recipe.model_validate_json(recipe_json))
            phase.setup()
            _ready.clear()
            _ready[key] = phase
        return _ready[key]


def _cpu_since(start: float) -> float:
    global _told_cpu_s
    with _setting_up:
        now = _cpu_s()
        spent = now - max(start, _told_cpu_s)
        _told_cpu_s = now
    return spent


def _cpu_s() -> float:
    """User and system seconds of this process, its finished children, and its living one."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    living = sum(phase.child_usage()[0] for phase in _ready.values())
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime + living


def _peak_mb() -> float:
    """Of this process and of its decoder. FFmpeg's encoder, which is smaller, is not counted."""
    return max(peak_mb(), *(phase.child_usage()[1] for phase in _ready.values()), 0.0)
