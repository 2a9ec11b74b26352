"""A real server on loopback that plays by a rule of its own, and fails or hangs now and then as a real one does."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from zlib import crc32

from agent.policies.scripted import ScriptedPolicy, answer, perfect_reader, read


def plan(question):
    """What the policy does: opens a gold mail and answers, but is wrong on one question of four."""
    if not question.answerable:
        return None, None
    is_wrong = crc32(question.id.encode()) % 4 == 0
    return question.message_ids[0], "no idea at all" if is_wrong else question.answer


def in_process(gold):
    """The same policy without a server."""

    def script(opening, random):
        message_id, text = plan(gold[opening.question_id])
        if message_id:
            yield read(message_id)
        yield answer(text, [message_id] if message_id else [])

    return ScriptedPolicy("in-process", script, perfect_reader(gold))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self._reply(200, {"data": [{"id": "scripted"}]})

    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            server.num_requests += 1
            number = server.num_requests
        if number in server.hangs:
            server.stopping.wait(30)
            self.close_connection = True
            return
        if number in server.errors:
            self._reply(500 if number % 2 else 429, {"error": {"message": "busy"}}, {"Retry-After": "0.05"})
            return
        time.sleep(server.delay_seconds)
        question = server.by_text[body["messages"][1]["content"]]
        with server.lock:
            server.asked[question.id] += len(body["messages"]) == 2
            server.prompts.add(body["messages"][0]["content"])
            server.results.update(one["content"] for one in body["messages"] if one["role"] == "tool")
        self._reply(200, self._act(question, body))

    def _act(self, question, body):
        message_id, text = plan(question)
        has_tools = "tools" in body
        is_arte = "message_id" in json.dumps([body["messages"][0], body.get("tools")])
        if len(body["messages"]) == 2 and message_id:
            name, arguments = "read_email", {"message_id" if is_arte else "id": message_id}
        elif is_arte:
            sources = [message_id] if message_id else []
            name, arguments = "return_final_answer", {"answer": text or "I don't know", "sources": sources}
        else:
            name, arguments = "return_final_answer", {"answer": text, "sources": [message_id] if message_id else []}
        message = {"role": "assistant", "content": None}
        if has_tools:
            function = {"name": name, "arguments": json.dumps(arguments)}
            message["tool_calls"] = [{"id": "c1", "type": "function", "function": function}]
        else:
            message["content"] = "Sure:\n" + json.dumps({"name": name, "arguments": arguments})
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 50, "completion_tokens": 5, "total_tokens": 55}
        return {"id": "1", "object": "chat.completion", "created": 1, "model": "scripted", "choices": [choice],
                "usage": usage}  # fmt: skip

    def _reply(self, status, body, headers=()):
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": len(data), **dict(headers)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class LiveServer(ThreadingHTTPServer):
    """Plays `questions`; the requests of these numbers fail or hang."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, questions, errors, hangs, delay_seconds):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.by_text = {question.question: question for question in questions}
        self.errors, self.hangs, self.delay_seconds = set(errors), set(hangs), delay_seconds
        self.lock, self.stopping = threading.Lock(), threading.Event()
        self.num_requests, self.asked = 0, Counter()
        self.prompts, self.results = set(), set()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, *_):
        pass


@contextmanager
def live(questions, *, errors=(), hangs=(), delay_seconds=0.0):
    """A running server."""
    server = LiveServer(questions, errors, hangs, delay_seconds)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server
    finally:
        server.stopping.set()
        server.shutdown()
        server.server_close()
