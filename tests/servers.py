"""An HTTP server on loopback that gives one file by ranges, and can be made to misbehave while it is read."""

from __future__ import annotations

import http.server
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class FileServer:
    """Serves the same bytes at every address. Its attributes may be changed at any time."""

    data: bytes
    ranges: bool = True
    tag: str = '"one"'
    fault: Callable[[int], int] = lambda number: 0
    """What goes wrong with the request of this number, from 1: a status, or one of the constants below."""
    allowed: Callable[[str], bool] = lambda address: True
    """Whether this path and query is answered; others with 403."""
    gets: int = 0
    sent_bytes: int = 0
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

    def __enter__(self) -> FileServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._let_go.set()
        self._server.shutdown()
        self._server.server_close()


STALL = -1
BREAK_OFF = -2


class _Handler(http.server.BaseHTTPRequestHandler):
    server_of: FileServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(200, len(self.server_of.data))

    def do_GET(self) -> None:
        told = self.server_of
        told.gets += 1
        data, fault = told.data, told.fault(told.gets) if told.allowed(self.path) else 403
        if fault > 0:
            self._answer(fault, 0)
            return
        if fault == STALL:
            told._let_go.wait()
            self.close_connection = True
            return
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if told.ranges and wanted:
            start, end = int(wanted[1]), min(int(wanted[2]) + 1, len(data))
            if start >= len(data):
                self._answer(416, 0, {"Content-Range": f"bytes */{len(data)}"})
                return
            body = data[start:end]
            self._answer(206, len(body), {"Content-Range": f"bytes {start}-{end - 1}/{len(data)}"})
        else:
            body = data
            self._answer(200, len(body))
        if fault == BREAK_OFF:
            body, self.close_connection = body[: len(body) // 2], True
        told.sent_bytes += len(body)
        self.wfile.write(body)

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
