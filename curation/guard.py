"""Work in a forked child that is started again if it aborts.

Ray's core runs inside the driver's process, and its own checks end that process without an exception
when they fail. A run resumes from any moment, so that the answer is to go on in a fresh process.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

TRIES = 3
# What is passed on to the child, and the news of its end.
_AWAITED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)
_PR_SET_PDEATHSIG = 1


def guarded(work: Callable[[], None]) -> None:
    """Do the work in a child, and end as it ends; after an abort do it again.

    Must be called before the process has threads.

    Raises:
        SystemExit: the child ended with another code than 0.
    """
    for again in range(TRIES):
        if again:
            sys.stderr.write("reelmill: Ray aborted; going on in a new process from what is done\n")
        status = _status_of_child(work)
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGABRT:
            break
    if os.WIFSIGNALED(status):
        # Whoever waits for this process sees the same signal.
        with contextlib.suppress(OSError):  # some cannot be handled, and need not be
            signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    if code := os.WEXITSTATUS(status):
        sys.exit(code)


def _status_of_child(work: Callable[[], None]) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    # Signals are held back and taken one by one: a handler could miss one that comes just before the wait.
    handled = signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGCHLD, handled)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _AWAITED)
        _end(work, parent)
    try:
        while True:
            number = signal.sigwait(_AWAITED)
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return status
            if number != signal.SIGCHLD:
                os.kill(child, number)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _AWAITED)
        signal.signal(signal.SIGCHLD, handled)


def _end(work: Callable[[], None], parent: int) -> NoReturn:
    """The child: it never returns into its caller's stack."""
    code = 1
    try:
        # Of a group of its own, so that Ctrl-C reaches it once, passed on by its parent.
        os.setpgid(0, 0)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)
        work()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
