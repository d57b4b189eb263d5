"""A child process in which strangers' media are decoded.

A file can crash, hang or bloat only this child: wall time is bounded by the caller, address space
by the kernel, and the child is started anew after it died. What kills it gets a second try in a fresh
child, since it may have been killed for what others did on the machine. Requests and answers are one frame of
JSON each (pictures in base64), so that a child which was taken over cannot make its parent
unpickle anything. Of a remote file the child asks its parent for bytes, one frame a time; it can
ask for those of the file in hand and for nothing else.

The child is started once and serves many files, since importing the decoders takes a second.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

from curation.video.probe import OVER_LIMIT, MediaError
from curation.video.remote import Media, RemoteFile, Source

_LENGTH = struct.Struct(">Q")
# An answer holds the thumbnails of all clips of a file; a two-hour film gives about 300 MB.
_MAX_ANSWER = 1 << 31
# Bytes of a remote file in one frame.
_MAX_READ = 1 << 20
_PR_SET_PDEATHSIG = 1


class Jail:
    """Runs `curation.video` functions on files in a bounded child process.

    Args:
        memory_mb: address space of the child in MiB.
    """

    def __init__(self, memory_mb: int):
        self._memory_mb = memory_mb
        self._child: subprocess.Popen[bytes] | None = None
        self._stopped = False
        self.cpu_s = 0.0
        """User and system seconds of the living child, as of its last answer."""
        self.peak_mb = 0.0
        """Largest memory of any child so far, in MiB."""

    def call(self, function: str, media: Path | Source, timeout_s: float, **arguments: Any) -> Any:
        """`function(media, **arguments)` in the child, as plain values.

        Args:
            media: a local file, or what gives the bytes of a remote one.
            timeout_s: wall time of the child; while the parent waits for a server, the clock stands still.

        Raises:
            MediaError: the function raised one, or the child hung, ran out of memory, or died twice.
            OSError: the child could not write, for want of room for instance.
            Exception: whatever `media.read` raised.
        """
        answer = self._answer_of_two(function, media, timeout_s, arguments)
        if "media_error" in answer:
            raise MediaError(str(answer["media_error"]))
        if "os_error" in answer:
            raise OSError(int(answer["os_error"]), os.strerror(int(answer["os_error"])))
        if "bug" in answer:
            raise RuntimeError(f"{function} failed on {media}: {answer['bug']}")
        return _with_bytes(answer["value"])

    def _answer_of_two(
        self, function: str, media: Path | Source, timeout_s: float, arguments: dict[str, Any]
    ) -> dict[str, Any]:
        """What the child answers; that of a fresh one where it died, or ran out of memory after other files."""
        deaths = 0
        while True:
            fresh = self._child is None
            try:
                answer = self._answer(function, media, timeout_s, arguments)
            except _TooSlow:
                self.close()
                raise MediaError(f"{OVER_LIMIT}it took longer than {timeout_s:g} s") from None
            except _Gone:
                cause, deaths = _cause(self.close()), deaths + 1
                if deaths == 2:
                    raise MediaError(f"the decoder process died twice ({cause})") from None
                continue
            except BaseException:
                self.close()  # it waits for bytes that will not come
                raise
            self.cpu_s = float(answer.get("cpu_s", 0.0))
            self.peak_mb = max(self.peak_mb, float(answer.get("peak_mb", 0.0)))
            if "memory_error" not in answer:
                return answer
            self.close()
            if fresh:
                raise MediaError(f"{OVER_LIMIT}it needs more than {self._memory_mb} MiB")

    def _answer(
        self, function: str, media: Path | Source, timeout_s: float, arguments: dict[str, Any]
    ) -> dict[str, Any]:
        child = self._started()
        assert child.stdin is not None and child.stdout is not None
        requests, answers = child.stdin.fileno(), child.stdout.fileno()
        deadline = time.monotonic() + timeout_s
        if isinstance(media, Path):
            _send(requests, _packed({"function": function, "path": str(media), "arguments": arguments}), deadline)
            return _received(answers, deadline)
        remote = {"name": media.name, "size": media.size}
        _send(requests, _packed({"function": function, "remote": remote, "arguments": arguments}), deadline)
        deadline -= media.waited_s
        while True:
            answer = _received(answers, deadline + media.waited_s)
            if "read" not in answer:
                return answer
            data = media.read(*_part(answer["read"]))
            _send(requests, _LENGTH.pack(len(data)) + data, deadline + media.waited_s)

    def close(self) -> int | None:
        """Kill the child; its exit status."""
        child, self._child = self._child, None
        if child is None:
            return None
        self.cpu_s = 0.0
        time.sleep(0.05)
        status = child.poll()
        if status is None:
            child.kill()
            child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        return status

    def stop(self) -> None:
        """End the call that another thread is waiting in, and refuse further ones."""
        self._stopped = True
        child = self._child
        if child is not None:
            with contextlib.suppress(OSError):
                child.kill()

    def __del__(self) -> None:
        self.close()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._stopped:
            raise MediaError("stopped")
        if self._child is None or self._child.poll() is not None:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "curation.video.jail", str(self._memory_mb), str(os.getpid())],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            )
            assert self._child.stdin is not None
            os.set_blocking(self._child.stdin.fileno(), False)
        return self._child


class _TooSlow(Exception):
    """The child did not answer in time."""


class _Gone(Exception):
    """The child ended, or talks nonsense."""


def _cause(status: int | None) -> str:
    if status is None:
        return "no answer"
    if status < 0:
        try:
            return signal.Signals(-status).name
        except ValueError:
            return f"signal {-status}"
    return f"exit status {status}"


def _packed(message: Any) -> bytes:
    data = json.dumps(message, default=_encode_bytes).encode()
    return _LENGTH.pack(len(data)) + data


def _encode_bytes(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    raise TypeError(f"{type(value).__name__} cannot leave the jail")


def _with_bytes(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"base64"}:
            return base64.b64decode(value["base64"])
        return {key: _with_bytes(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_bytes(item) for item in value]
    return value


def _received(descriptor: int, deadline: float) -> dict[str, Any]:
    (length,) = _LENGTH.unpack(_exactly(descriptor, _LENGTH.size, deadline))
    if length > _MAX_ANSWER:
        raise _Gone
    try:
        answer = json.loads(_exactly(descriptor, length, deadline))
    except (ValueError, RecursionError):
        raise _Gone from None
    if not isinstance(answer, dict):
        raise _Gone
    return answer


def _part(wanted: Any) -> tuple[int, int]:
    """What the child asks for: an offset and a number of bytes."""
    if not (isinstance(wanted, list) and len(wanted) == 2 and all(isinstance(number, int) for number in wanted)):
        raise _Gone
    offset, count = wanted
    if offset < 0 or not 0 < count <= _MAX_READ:
        raise _Gone
    return offset, count


def _exactly(descriptor: int, count: int, deadline: float) -> bytes:
    data = bytearray()
    while len(data) < count:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            raise _TooSlow
        chunk = os.read(descriptor, min(1 << 20, count - len(data)))
        if not chunk:
            raise _Gone
        data += chunk
    return bytes(data)


def _send(descriptor: int, data: bytes, deadline: float) -> None:
    rest = memoryview(data)
    while rest:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([], [descriptor], [], left)[1]:
            raise _TooSlow
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BrokenPipeError:
            raise _Gone from None


def _serve(requests: BinaryIO, answers: BinaryIO, memory_mb: int) -> None:
    """The child: one request after the other until the parent closes the pipe."""
    # Heavy imports belong to the child alone.
    import av.error

    from curation.video.inside import FUNCTIONS

    def ask(offset: int, count: int) -> bytes:
        answers.write(_packed({"read": [offset, min(count, _MAX_READ)]}))
        answers.flush()
        return requests.read(_LENGTH.unpack(requests.read(_LENGTH.size))[0])

    while header := requests.read(_LENGTH.size):
        request = json.loads(requests.read(_LENGTH.unpack(header)[0]))
        answer: dict[str, Any]
        try:
            media: Media = Path(request["path"]) if "path" in request else RemoteFile(**request["remote"], ask=ask)
            answer = {"value": FUNCTIONS[request["function"]](media, **_with_bytes(request["arguments"]))}
        except MediaError as error:
            answer = {"media_error": str(error)}
        except MemoryError:  # FFmpeg's too
            answer = {"memory_error": True}
        except av.error.FFmpegError as error:  # a frame that cannot be converted, for instance
            answer = {"media_error": f"it cannot be decoded ({error.strerror or error})"}
        except OSError as error:
            answer = {"os_error": error.errno or 0}
        except Exception as error:  # a bug of ours, told to the parent by name
            answer = {"bug": f"{type(error).__name__}: {error}"}
        if _short_of_memory(memory_mb) and not _fine(answer):
            answer = {"memory_error": True}
        answers.write(_packed(answer | _usage()))
        answers.flush()


def _fine(answer: dict[str, Any]) -> bool:
    return isinstance(answer.get("value"), dict) and not answer["value"].get("warning")


def _short_of_memory(memory_mb: int) -> bool:
    """Whether the address space was nearly used up.

    Decoders tell of a failed allocation as invalid data or a busy resource, so that what they say is
    no guide.
    """
    return (_status("VmPeak") or 0) > 0.88 * memory_mb


def _status(field: str) -> float | None:
    """A field of the kernel's account of this process in MiB, where there is one."""
    try:
        return int(Path("/proc/self/status").read_text().partition(f"{field}:")[2].split()[0]) / 1024
    except (OSError, IndexError, ValueError):
        return None


def _usage() -> dict[str, float]:
    """Of this process, and of the encoders that it started."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "cpu_s": own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime,
        "peak_mb": max(peak_mb(), children.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)),
    }


def peak_mb() -> float:
    """The largest memory that this process had so far, in MiB."""
    # The kernel's own mark: ru_maxrss would start with that of the process which forked this one.
    peak = _status("VmHWM")
    if peak is None:
        unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return peak


def _bound(memory_mb: int, parent: int) -> None:
    """Limit the address space, forbid core files, and die with the parent."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def main() -> None:
    _bound(int(sys.argv[1]), int(sys.argv[2]))
    answers = os.fdopen(os.dup(1), "wb")
    # Whatever a decoder prints must not mix with the answers.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    _serve(sys.stdin.buffer, answers, int(sys.argv[1]))


if __name__ == "__main__":
    main()
