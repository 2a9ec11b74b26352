"""A proxy on loopback that passes requests on, but answers some with 500 and leaves some without any answer."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self._pass_on(httpx.get(self.server.upstream + self.path))

    def do_POST(self):
        server = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with server.lock:
            server.num_requests += 1
            number = server.num_requests
        if number in server.hangs:
            server.stopping.wait(30)
            self.close_connection = True
        elif number in server.errors:
            self._pass_on(httpx.Response(500, json={"error": {"message": "busy"}}, headers={"Retry-After": "0.05"}))
        else:
            headers = {"Content-Type": "application/json"}
            self._pass_on(httpx.post(server.upstream + self.path, content=body, headers=headers, timeout=30))

    def _pass_on(self, answer):
        self.send_response(answer.status_code)
        for name in ("Content-Type", "Retry-After"):
            if name in answer.headers:
                self.send_header(name, answer.headers[name])
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, *_):
        pass


class FaultyProxy(ThreadingHTTPServer):
    """Passes on to `upstream`; the requests of these numbers fail or hang."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, upstream, errors, hangs):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream, self.errors, self.hangs = upstream.removesuffix("/v1"), set(errors), set(hangs)
        self.lock, self.stopping = threading.Lock(), threading.Event()
        self.num_requests = 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, *_):
        pass


@contextmanager
def faulty(upstream, *, errors=(), hangs=()):
    """A running proxy."""
    server = FaultyProxy(upstream, errors, hangs)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server
    finally:
        server.stopping.set()
        server.shutdown()
        server.server_close()
