"""A real server on loopback that speaks /v1/chat/completions and fails as it is told to."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USAGE = {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107}


def call(name, arguments, call_id="call_1"):
    text = arguments if isinstance(arguments, str) or arguments is None else json.dumps(arguments)
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": text}}


def completion(*calls, text=None, usage=USAGE, finish=None, **more):
    message = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = list(calls)
    choice = {"index": 0, "message": message, "finish_reason": finish or ("tool_calls" if calls else "stop")}
    body = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], **more}
    return body | ({"usage": usage} if usage else {})


def final(answer="$40,000", sources=()):
    return completion(call("return_final_answer", {"answer": answer, "sources": list(sources)}))


def failing(status, message="no", headers=(), **error):
    """A reply with an error status."""

    def act(handler):
        handler.reply(status, {"error": {"message": message, "type": "x", "code": None, **error}}, dict(headers))

    return act


def reset(handler):
    """Close the connection with a reset instead of an answer."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    handler.connection.close()


def hang(handler):
    """Accept and never answer, until the client leaves or the server stops."""
    handler.server.num_hanging += 1
    try:
        handler.connection.settimeout(0.05)
        while not handler.server.is_stopping:
            try:
                if not handler.connection.recv(1):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
    finally:
        handler.server.num_hanging -= 1
        handler.close_connection = True


def drip(handler):
    """Answer a byte every tenth of a second."""
    body = json.dumps(final()).encode()
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    for byte in body:
        if handler.server.is_stopping:
            return
        try:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
        except OSError:
            return
        time.sleep(0.1)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.requests.append(self.asked)
            self.server.headers.append(dict(self.headers))
            self.server.times.append(time.monotonic())
            script = self.server.script
            action = script.pop(0) if len(script) > 1 else script[0]
        if callable(action):
            action(self)
        else:
            self.reply(200, action)

    def reply(self, status, body, headers=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class ChatServer(ThreadingHTTPServer):
    """Answers with the items of `script` in turn, the last one for ever."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, script):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script, self.requests, self.headers, self.times = list(script), [], [], []
        self.lock, self.is_stopping, self.num_hanging = threading.Lock(), False, 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, *_):
        pass


@contextmanager
def serving(*script):
    """A running server."""
    server = ChatServer(script)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.is_stopping = True
        server.shutdown()
        server.server_close()
        thread.join(5)
