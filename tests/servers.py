"""An HTTP server on loopback that gives files by ranges, and can be made to misbehave while it is read."""

from __future__ import annotations

import contextlib
import http.server
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class FileServer:
    """Serves the same bytes at every address, or the files of a folder. Its attributes may be changed at any time."""

    data: bytes = b""
    folder: Path | None = None
    only: str = ""
    """Faults are for addresses that end like this."""
    ranges: bool = True
    tag: str = '"one"'
    fault: Callable[[int], int] = lambda number: 0
    """What goes wrong with the request of this number, from 1: a status, or one of the constants below."""
    allowed: Callable[[str], bool] = lambda address: True
    """Whether this path and query is answered; others with 403."""
    gets: int = 0
    sent_bytes: int = 0
    asked: list[str] = field(default_factory=list)
    """The path and range of every GET."""
    _let_go: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        outer = self

        class Handler(_Handler):
            server_of = outer

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def content(self, path: str) -> bytes | None:
        if self.folder is None:
            return self.data
        file = self.folder / path.lstrip("/")
        return file.read_bytes() if file.is_file() else None

    def __enter__(self) -> FileServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._let_go.set()
        self._server.shutdown()
        self._server.server_close()


STALL = -1
BREAK_OFF = -2
SAY_LESS = -3
"""The told length is the half of what is sent."""
SAY_MORE = -4
"""The told length is more than what is sent, and the connection stays open."""
OTHER_BYTES = -5
THROTTLE = -6
"""A hundredth of a second for every kB."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server_of: FileServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        data = self.server_of.content(self.path)
        self._answer(200 if data is not None else 404, len(data or b""))

    def do_GET(self) -> None:
        told = self.server_of
        harmed = self.path.endswith(told.only)
        told.gets += harmed
        told.asked.append(f"{self.path} {self.headers.get('Range', '')}".strip())
        data, fault = told.content(self.path), told.fault(told.gets) if harmed else 0
        fault = fault if told.allowed(self.path) else 403
        if data is None:
            self._answer(404, 0)
            return
        if fault > 0:
            self._answer(fault, 0)
            return
        if fault == STALL:
            told._let_go.wait()
            self.close_connection = True
            return
        if fault == OTHER_BYTES:
            data = bytes(len(data))
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        status, headers, body = 200, {}, data
        if told.ranges and wanted:
            start, end = int(wanted[1]), min(int(wanted[2]) + 1, len(data))
            if start >= len(data):
                self._answer(416, 0, {"Content-Range": f"bytes */{len(data)}"})
                return
            status, headers, body = 206, {"Content-Range": f"bytes {start}-{end - 1}/{len(data)}"}, data[start:end]
        length = {SAY_LESS: len(body) // 2, SAY_MORE: len(body) + 100}.get(fault, len(body))
        self._answer(status, length, headers)
        if fault in (BREAK_OFF, SAY_LESS):
            self.close_connection = True
        if fault == BREAK_OFF:
            body = body[: len(body) // 2]
        told.sent_bytes += len(body)
        with contextlib.suppress(ConnectionError):
            for at in range(0, len(body), 1000 if fault == THROTTLE else len(body) or 1):
                self.wfile.write(body[at : at + 1000] if fault == THROTTLE else body)
                if fault == THROTTLE:
                    time.sleep(0.01)
        if fault == SAY_MORE:
            told._let_go.wait()
            self.close_connection = True

    def _answer(self, status: int, length: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(length), "ETag": self.server_of.tag, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()


def remuxed(path: Path, target: Path, flags: str = "") -> Path:
    """The same packets in another container, or with other `movflags`."""
    import av

    with av.open(str(path)) as old, av.open(str(target), "w", options={"movflags": flags} if flags else {}) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    return target
