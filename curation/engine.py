"""Runs a phase over its units on Ray: scheduling, retries, quarantine. The only file that imports ray.

Units are handed out a few at a time, each as one Ray task with the resources that the phase
declares. What travels is the unit's number and a few columns; media never enter the object store.
A unit that fails is tried again; one that fails every time is set aside, the others go on, and the
run ends with the list.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from curation.errors import UserError
from curation.phases import Unit
from curation.recipe import Recipe
from curation.work import PHASES, Done, perform

# A unit is tried this often when its code fails; a lost worker or node is Ray's to retry.
TRIES = 3
_LOST_WORKER_RETRIES = 5
# Units in flight for each CPU of the cluster: enough to keep it busy and to make it grow.
_IN_FLIGHT = 3
_OBJECT_STORE_BYTES = 256 << 20
_KNOCK_S = 10.0


@dataclass(frozen=True)
class Failure:
    """A unit that failed every time."""

    unit: int
    reason: str


class Engine:
    """A connection to Ray that is made at the first unit of work, so that a finished run needs none.

    Args:
        address: of a running cluster (`auto`, `ray://host:port`), or None to start Ray on this machine.
    """

    def __init__(self, address: str | None = None):
        self._address = address
        self._ray: Any = None

    def close(self) -> None:
        """Leave Ray. It ends what this process still has running, here or on the cluster."""
        if self._ray is not None:
            self._ray.shutdown()
            self._ray = None

    def run(
        self,
        name: str,
        recipe: Recipe,
        root: str,
        units: Sequence[Unit],
        on_done: Callable[[Done], None],
        on_retry: Callable[[Failure], None],
    ) -> list[Failure]:
        """Do every unit; those that failed every time, after all the others are done.

        Raises:
            UserError: a unit raised one (missing weights, a full disk); nothing more is started.
        """
        ray = self._started()
        needs = PHASES[name].needs
        task = ray.remote(perform).options(
            num_cpus=needs.cpus,
            num_gpus=needs.gpus,
            # One machine takes what it is asked for; only a cluster chooses between nodes by memory.
            memory=needs.memory_mb << 20 if self._address else None,
            max_retries=_LOST_WORKER_RETRIES,
            name=name,
        )
        recipe_json = ray.put(recipe.model_dump_json(by_alias=True))
        waiting = list(reversed(units))
        tries: dict[int, int] = {}
        running: dict[Any, Unit] = {}
        failures = []
        while waiting or running:
            while waiting and len(running) < self._window():
                unit = waiting.pop()
                running[task.remote(name, recipe_json, root, unit)] = unit
            ready, _ = ray.wait(list(running), num_returns=1)
            unit = running.pop(ready[0])
            try:
                on_done(ray.get(ready[0]))
            except ray.exceptions.RayError as error:
                cause = getattr(error, "cause", None)
                if isinstance(cause, UserError):
                    raise cause from None
                failure = Failure(unit.number, _reason(error))
                tries[unit.number] = tries.get(unit.number, 0) + 1
                if tries[unit.number] < TRIES:
                    on_retry(failure)
                    waiting.insert(0, unit)
                else:
                    failures.append(failure)
        return failures

    def _started(self) -> Any:
        if self._ray is None:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            # Without accelerators Ray would warn that it will one day stop hiding them from workers.
            os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
            import ray

            given: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
            if self._address is None:
                given |= {"include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
                given["num_cpus"] = os.cpu_count()
            self.knock()
            try:
                ray.init(address=self._address or "local", **given)
            except (OSError, RuntimeError, ValueError) as error:
                raise self._unanswered(error) from None
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, _stop)
            self._ray = ray
        return self._ray

    def knock(self) -> None:
        """Raise a `UserError` if nothing listens at the address; Ray itself would go on asking for minutes."""
        host, colon, port = (self._address or "").rpartition("://")[2].rpartition(":")
        if colon and port.isdigit():
            try:
                socket.create_connection((host, int(port)), timeout=_KNOCK_S).close()
            except OSError as error:
                raise self._unanswered(error) from None

    def _unanswered(self, error: Exception) -> UserError:
        reason = " ".join(str(error).split())[:200]
        return UserError(f"no Ray cluster answers at {self._address or 'this machine'}: {reason}")

    def _window(self) -> int:
        return max(2, int(_IN_FLIGHT * self._ray.cluster_resources().get("CPU", 1)))


def _stop(*_: object) -> None:
    """A machine that is reclaimed sends SIGTERM first: end as after Ctrl-C."""
    raise KeyboardInterrupt


def _reason(error: Exception) -> str:
    cause = getattr(error, "cause", None)
    text = f"{type(cause).__name__}: {cause}" if cause is not None else str(error)
    return " ".join(text.split())[:300]
