"""Clients that are many, slow, or gone: the queue, the deadline, and nothing that is left behind."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.scripts.model_server.served import TOOLS, SlowEngine, base_model, request, serving

PATH = "/chat/completions"


@pytest.fixture(scope="module")
def running():
    with serving() as running:
        yield running


def slow(text="one two three four", pause=0.01):
    return SlowEngine(base_model().chat, text, pause)


def leave(url, body, *, is_reset, wait):
    """Ask, wait a moment, and hang up."""
    host, port = url.removeprefix("http://").removesuffix("/v1").split(":")
    raw = json.dumps(body).encode()
    with socket.create_connection((host, int(port))) as sock:
        head = f"POST /v1{PATH} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
        sock.sendall(f"{head}Content-Length: {len(raw)}\r\n\r\n".encode() + raw)
        if wait:
            time.sleep(wait)
        if is_reset:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def held(running):
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count(), running.tasks()


def test_a_full_queue_sends_away_and_says_when_to_come_back():
    engine = slow(pause=0.1)
    with serving(engine=engine, num_slots=1, num_queued=1) as running:
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: httpx.post(running.url + PATH, json=request(), timeout=30), range(4)))
        statuses = sorted(answer.status_code for answer in answers)
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert statuses == [200, 200, 429, 429]
        assert int(refused.headers["Retry-After"]) >= 1
        assert refused.json()["error"]["type"] == "rate_limit_error"
        assert httpx.post(running.url + PATH, json=request(), timeout=30).status_code == 200
    assert engine.num_open == 0


def test_a_request_that_comes_too_slowly_gives_its_place_back(monkeypatch):
    monkeypatch.setattr("scripts.model_server.app.BODY_SECONDS", 0.2)
    with serving(engine=slow(), num_slots=1, num_queued=0) as running:
        host, port = running.url.removeprefix("http://").removesuffix("/v1").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as sock:
            head = f"POST /v1{PATH} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
            sock.sendall(f"{head}Content-Length: 50\r\n\r\n{{".encode())
            assert until(lambda: running.chat.generator.num_open == 1)
            assert httpx.post(running.url + PATH, json=request()).status_code == 429
            assert sock.recv(20).startswith(b"HTTP/1.1 408")
        assert httpx.post(running.url + PATH, json=request()).status_code == 200


def test_who_leaves_in_the_middle_of_a_request_is_no_defect(running, capfd):
    host, port = running.url.removeprefix("http://").removesuffix("/v1").split(":")
    for number in range(10):
        with socket.create_connection((host, int(port))) as sock:
            head = f"POST /v1{PATH} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
            sock.sendall(f"{head}Content-Length: 500\r\n\r\n{{".encode())
            time.sleep(0.02)
            if number % 2:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    leave(running.url, request(), is_reset=True, wait=0)
    assert until(lambda: running.chat.generator.num_open == 0)
    time.sleep(0.1)
    assert capfd.readouterr().err == ""


def test_a_reader_that_stands_still_holds_no_place():
    engine = slow("word " * 60, pause=0.001)
    with serving(engine=engine, num_slots=1, num_queued=0) as running:
        host, port = running.url.removeprefix("http://").removesuffix("/v1").split(":")
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            sock.connect((host, int(port)))
            raw = json.dumps(request(stream=True)).encode()
            head = f"POST /v1{PATH} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
            sock.sendall(f"{head}Content-Length: {len(raw)}\r\n\r\n".encode() + raw)
            assert until(lambda: engine.prompts and running.chat.generator.num_open == 0)
            assert httpx.post(running.url + PATH, json=request()).status_code == 200


def test_a_turn_past_its_deadline_is_given_up():
    engine = slow(pause=0.3)
    with serving(engine=engine, deadline_seconds=0.2) as running:
        answer = httpx.post(running.url + PATH, json=request())
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline_exceeded")
        assert httpx.post(running.url + PATH, json=request(stream=True)).status_code == 504
        engine.pause = 0.15
        with httpx.stream("POST", running.url + PATH, json=request(stream=True)) as begun:
            lines = [json.loads(line[6:]) for line in begun.iter_lines() if line]
        assert begun.status_code == 200
        assert lines[-1]["error"]["code"] == "deadline_exceeded"
        assert until(lambda: engine.num_open == 0)


def test_clients_that_leave_cancel_their_turns_and_leave_nothing_behind():
    engine = slow("word " * 300, pause=0.02)
    with serving(engine=engine, num_slots=8, num_queued=200) as running:
        httpx.get(running.url + "/models")
        leave(running.url, request(stream=True), is_reset=False, wait=0.05)
        assert until(lambda: engine.num_open == 0)
        time.sleep(0.1)
        before = held(running)
        started = time.monotonic()
        with ThreadPoolExecutor(20) as pool:
            for number in range(100):
                options = {"stream": number % 2 == 0} | ({"tools": TOOLS} if number % 3 == 0 else {})
                pool.submit(leave, running.url, request(**options), is_reset=number % 4 == 0, wait=number % 5 / 50)
        assert until(lambda: engine.num_open == 0 == running.chat.generator.num_open, 2)
        assert time.monotonic() - started < 5
        assert len(engine.prompts) > 50, "most of them had begun"
        assert until(lambda: all(now - then <= 2 for now, then in zip(held(running), before, strict=True)))
        assert httpx.get(running.url + "/health", timeout=5).status_code == 404
        assert httpx.get(running.url.removesuffix("/v1") + "/health").json() == {"status": "ok", "num_open": 0}


def test_the_real_engine_gets_its_rows_back_from_clients_that_leave(running):
    for number in range(24):
        leave(running.url, request(stream=number % 2 == 0, temperature=2.0), is_reset=number % 3 == 0, wait=0.003)
    kept = running.chat.generator.kept
    assert until(lambda: running.chat.generator.num_open == 0 and running.engine.num_open_rows == len(kept) <= 8)
    assert httpx.post(running.url + PATH, json=request()).status_code == 200
