"""Does units of work on Ray: scheduling, retries, quarantine. The only file that imports ray.

Units are handed out a few at a time, each as one Ray task with the resources that the phase
declares. What travels is the unit's number and a few columns; media never enter the object store.
A task first says where it has begun. A unit that fails is tried again, also one whose worker or node
was lost; one that fails every time is set aside, the others go on, and the run ends with the list.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from curation.addresses import scrubbed
from curation.errors import UserError
from curation.phases import Needs, Unit

# A unit is tried this often when its code fails. A worker or node that is lost is seldom the unit's fault, but a
# unit that takes its worker with it every time must not go on forever.
TRIES = 3
LOSSES = 6
# Units in flight for each that the cluster can do at once: enough to keep it busy and to make it grow.
_IN_FLIGHT = 3
# A cluster that may still be without workers has to see that there is work for some.
_LEAST_IN_FLIGHT = 16
# Units at a time in one process: threads.
_MOST_TOGETHER = 64
_OBJECT_STORE_BYTES = 256 << 20
_KNOCK_S = 10.0
# The label of nodes that do what needs no GPU. Where a cluster has such nodes, nothing else does it.
POOL, CPU_POOL = "reelmill-pool", "cpu"


@dataclass(frozen=True)
class Where:
    """The process that does a unit."""

    host: str
    node: str
    """The first digits of Ray's id of the node."""
    pid: int


@dataclass(frozen=True)
class Failure:
    """Why a unit failed, the last time."""

    unit: int
    reason: str
    lost: bool = False
    """The worker or its node went away, or was killed for its memory."""


class Watcher(Protocol):
    """Who is told what happens to the units."""

    def begun(self, unit: int, where: Where) -> None: ...

    def done(self, result: Any) -> None: ...

    def retried(self, failure: Failure) -> None: ...

    def failed(self, failure: Failure) -> None: ...


class Engine:
    """A connection to Ray that is made at the first unit of work, so that a finished run needs none.

    Args:
        address: of a running cluster (`auto`, `host:port`), or None to start Ray on this machine.
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
        needs: Needs,
        work: Callable[[Unit, bool], Any],
        units: Iterable[Unit],
        watcher: Watcher,
    ) -> list[Failure]:
        """Do every unit; those that failed every time, after all the others are done.

        Args:
            units: taken as they can be handed out, and again where they fail.
            work: does one unit on a worker; is told whether this unit may have been done by an earlier try.

        Raises:
            UserError: a unit raised one (missing weights, a full disk); nothing more is started.
        """
        ray = self._started()
        hand_out = self._together(needs) if needs.together else self._apart(name, needs)
        work_there = ray.put(work)
        ahead, again = iter(units), deque[Unit]()
        unit = next(ahead, None)
        failed: dict[int, list[Failure]] = {}
        running: dict[Any, Unit] = {}
        aside = []
        while unit or again or running:
            while (unit or again) and self._has_room(needs, running.values()):
                handed = unit or again.popleft()
                unit = next(ahead, None) if unit else None
                running[hand_out(work_there, handed, handed.number in failed)] = handed
            ready, _ = ray.wait(list(running), num_returns=1)
            steps, begun = ready[0], running[ready[0]]
            try:
                step = ray.get(next(steps))
            except ray.exceptions.RayError as error:
                del running[steps]
                cause = getattr(error, "cause", None)
                if isinstance(cause, UserError):
                    if needs.together:
                        self._let_end(running)
                    raise cause from None
                lost = not isinstance(error, ray.exceptions.RayTaskError)
                failure = Failure(begun.number, _reason(error), lost)
                failures = failed.setdefault(begun.number, [])
                failures.append(failure)
                if sum(each.lost == lost for each in failures) < (LOSSES if lost else TRIES):
                    watcher.retried(failure)
                    again.append(begun)
                else:
                    watcher.failed(failure)
                    aside.append(failure)
                continue
            if isinstance(step, Where):
                watcher.begun(begun.number, step)
            else:
                del running[steps]
                watcher.done(step)
        return aside

    def gpus(self) -> float:
        """GPUs of the cluster, or of this machine."""
        return float(self._started().cluster_resources().get("GPU", 0))

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
        if (self._address or "").startswith("ray://"):
            raise UserError(
                f"{self._address}: a run must not hang on a client's connection; submit it with `ray job submit`, "
                "or start it on a node of the cluster with --address auto (see docs/cluster.md)"
            )
        host, colon, port = (self._address or "").rpartition("://")[2].rpartition(":")
        if colon and port.isdigit():
            try:
                socket.create_connection((host, int(port)), timeout=_KNOCK_S).close()
            except OSError as error:
                raise self._unanswered(error) from None

    def _unanswered(self, error: Exception) -> UserError:
        reason = " ".join(str(error).split())[:200]
        return UserError(f"no Ray cluster answers at {self._address or 'this machine'}: {reason}")

    def _apart(self, name: str, needs: Needs) -> Callable[..., Any]:
        """Hands out units as tasks of their own."""
        task = self._ray.remote(_steps)
        return lambda *work: task.options(**self._options(needs), name=name, max_retries=0).remote(*work)

    def _together(self, needs: Needs) -> Callable[..., Any]:
        """Hands out units to threads of one process; where that was lost, of another one."""
        kind = self._ray.remote(_Together)
        actors: list[Any] = []

        def hand_out(*work: Any) -> Any:
            if not actors or self._is_lost(actors[-1]):
                options = self._options(needs)
                actors.append(kind.options(**options, max_concurrency=_MOST_TOGETHER).remote())
            return actors[-1].steps.options(num_returns="streaming").remote(*work)

        return hand_out

    def _is_lost(self, actor: Any) -> bool:
        try:
            self._ray.get(actor.there.remote())
        except self._ray.exceptions.RayActorError:
            return True
        return False

    def _let_end(self, running: Iterable[Any]) -> None:
        """Units of one process end together: what they have paid for is kept."""
        for steps in running:
            with contextlib.suppress(StopIteration, self._ray.exceptions.RayError):
                while True:
                    self._ray.get(next(steps))

    def _options(self, needs: Needs) -> dict[str, Any]:
        """Where a task may run. Asked anew for every task, since nodes come and go."""
        options: dict[str, Any] = {"num_cpus": needs.cpus, "num_gpus": needs.gpus}
        if self._address is not None:  # one machine takes what it is asked for; a cluster chooses between nodes
            options["memory"] = needs.memory_mb << 20
            if not needs.gpus and self._has_cpu_pool():
                options["label_selector"] = {POOL: CPU_POOL}
        return options

    def _has_cpu_pool(self) -> bool:
        return any(node["Alive"] and node.get("Labels", {}).get(POOL) == CPU_POOL for node in self._ray.nodes())

    def _has_room(self, needs: Needs, running: Collection[Unit]) -> bool:
        if not needs.together:
            return len(running) < self._window(needs)
        rows = sum(unit.given.num_rows for unit in running if unit.given is not None)
        return len(running) < 2 or (len(running) < _MOST_TOGETHER and rows < 2 * needs.together)

    def _window(self, needs: Needs) -> int:
        """How many units may be in flight: a bound on what waits in memory, that grows with the cluster."""
        there = self._ray.cluster_resources()
        at_once = there.get("GPU", 0) / needs.gpus if needs.gpus else there.get("CPU", 0) / max(needs.cpus, 0.1)
        return max(2 if self._address is None else _LEAST_IN_FLIGHT, int(_IN_FLIGHT * at_once))


def _steps(work: Callable[[Unit, bool], Any], unit: Unit, again: bool) -> Iterator[Any]:
    """A task on a worker: first where it runs, then what it gave."""
    import ray

    yield Where(socket.gethostname(), ray.get_runtime_context().get_node_id()[:8], os.getpid())
    yield work(unit, again)


class _Together:
    """An actor that does many units at a time, each in a thread."""

    def there(self) -> None:
        pass

    def steps(self, work: Callable[[Unit, bool], Any], unit: Unit, again: bool) -> Iterator[Any]:
        yield from _steps(work, unit, again)


def _stop(*_: object) -> None:
    """A machine that is reclaimed sends SIGTERM first: end as after Ctrl-C."""
    raise KeyboardInterrupt


def _reason(error: Exception) -> str:
    cause = getattr(error, "cause", None)
    text = f"{type(cause).__name__}: {cause}" if cause is not None else str(error)
    return str(scrubbed(" ".join(text.split())))[:300]
