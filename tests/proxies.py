"""An HTTP proxy on loopback before a real store, which drops, cuts off or refuses the requests that a test names."""

from __future__ import annotations

import http.client
import http.server
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

PASS = "pass"
DROP = "dropped before the store has seen it"
LOSE = "done by the store, its answer lost"
HALF = "done by the store, its answer cut off half-way"
SLOW_DOWN = "refused with 503 SlowDown"
EXPIRED = "refused with ExpiredToken"
_REFUSALS = {
    SLOW_DOWN: (503, "SlowDown", "Please reduce your request rate."),
    EXPIRED: (400, "ExpiredToken", "The provided token has expired."),
}


class Proxy:
    """Passes requests on to `target`.

    Attributes:
        fault: what goes wrong with the request of this number, from 1, and method. May be changed at any time; the
            number counts from there.
    """

    def __init__(self, target: str):
        outer = self
        self._fault: Callable[[int, str], str] = lambda number, method: PASS
        self._lock = threading.Lock()
        self.requests = 0
        self.harmed = 0
        self.host, self.port = urlsplit(target).hostname, urlsplit(target).port

        class Handler(_Handler):
            proxy = outer

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def fault(self) -> Callable[[int, str], str]:
        return self._fault

    @fault.setter
    def fault(self, fault: Callable[[int, str], str]) -> None:
        with self._lock:
            self._fault, self.requests, self.harmed = fault, 0, 0

    def next_fault(self, method: str) -> str:
        with self._lock:
            self.requests += 1
            fault = self._fault(self.requests, method)
            self.harmed += fault != PASS
            return fault


class _Handler(http.server.BaseHTTPRequestHandler):
    proxy: Proxy
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _pass_on(self) -> None:
        fault = self.proxy.next_fault(self.command)
        if fault == DROP:
            self.close_connection = True
            return
        body = self._body()
        if fault in _REFUSALS:
            self._refuse(*_REFUSALS[fault])
            return
        store = http.client.HTTPConnection(self.proxy.host or "", self.proxy.port, timeout=60)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "transfer-encoding"}
            store.request(self.command, self.path, body, headers)
            answer = store.getresponse()
            content = answer.read()
        finally:
            store.close()
        if fault == LOSE:
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection", "date", "server"):
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        if length is not None:
            self.send_header("Content-Length", length)
        self.end_headers()
        if fault == HALF:
            content, self.close_connection = content[: len(content) // 2], True
        self.wfile.write(content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = _pass_on

    def _body(self) -> bytes:
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _refuse(self, status: int, code: str, message: str) -> None:
        text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(0 if self.command == "HEAD" else len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)
