"""The pages as they are served, the playground and the viewer: the guard stands before every one of their routes."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.routing import Route

from scripts.playground.guard import COOKIE, HEADERS, Guard
from tests.scripts.playground.foreign_requests import (
    REFUSED_METHODS,
    Headers,
    own_headers,
    refused_hosts,
    refused_origins,
    refused_sites,
)
from tests.scripts.playground.runs import make_run, viewed_app
from tests.scripts.playground.served import invented, served_app

TOKEN = "a-token-of-sixteen-characters"
FOREIGN = {"hosts": refused_hosts, "origins": refused_origins, "sites": refused_sites}
STATUSES = (400, 403, 405)
EPISODE = urlencode({"file": "trajectories/step-000001.jsonl", "line": 1})
Page = tuple[int, Guard, dict[str, "Sample"]]


class Sample:
    """A request that the page itself could send to a route, and the status it gets."""

    def __init__(self, path: str, query: str = "", body: Any = None, status: int = 200) -> None:
        self.path, self.status = path, status
        self.target = f"{path}?{query}" if query else path
        self.method = "GET" if body is None else "POST"
        self.body = None if body is None else json.dumps(body).encode()


def shared_samples() -> dict[str, Sample]:
    return {
        "/": Sample("/"),
        "/static/{name}": Sample("/static/main.js"),
        "/api/views": Sample("/api/views"),
    }


def play_samples(inbox: str, question: str) -> dict[str, Sample]:
    """Return a request to each route of the playground; of a route without one a test below complains."""
    one = urlencode({"inbox": inbox, "ref": 1})
    call = {"episode": "x", "name": "read_email", "arguments": {}}
    play = {"inbox": inbox, "question_id": question, "policy": "oracle"}
    return shared_samples() | {
        "/api/mails": Sample("/api/mails", urlencode({"inbox": inbox})),
        "/api/mail": Sample("/api/mail", one),
        "/api/mail/html": Sample("/api/mail/html", one, status=404),  # no HTML is kept of invented mail
        "/api/ask/start": Sample("/api/ask/start"),
        "/api/ask/questions": Sample("/api/ask/questions", urlencode({"inbox": inbox})),
        "/api/ask/destination": Sample("/api/ask/destination", "policy=oracle"),
        "/api/ask/play": Sample("/api/ask/play", body=play),
        "/api/ask/call": Sample("/api/ask/call", body=call, status=404),  # no episode is open
    }


def view_samples(inbox: str, question: str) -> dict[str, Sample]:
    """Return a request to each route of the viewer."""
    one, of = "/api/runs/0", "/api/runs/{source:int}"
    queries = {
        **dict.fromkeys(("facts", "rows"), ""),
        **dict.fromkeys(("episode", "group", "tokens", "export"), EPISODE),
        "next": f"{EPISODE}&by=1",
        "mails": urlencode({"inbox": inbox}),
        "mail": urlencode({"inbox": inbox, "ref": 1}),
    }
    return shared_samples() | {
        "/api/runs/start": Sample("/api/runs/start"),
        "/api/runs/same": Sample("/api/runs/same", urlencode({"question": question})),
        f"{of}/mail/html": Sample(f"{one}/mail/html", queries["mail"], status=404),
        f"{of}/watch": Sample(f"{one}/watch", body={}),
        **{f"{of}/{name}": Sample(f"{one}/{name}", query) for name, query in queries.items()},
    }


@contextmanager
def opened(name: str, folder: Path, token: str = "") -> Iterator[Page]:
    """Yield the port, the application and the samples of a running page."""
    mailbox, questions = invented(folder)
    about = questions[0].inbox, questions[0].id
    if name == "play":
        with served_app(mailbox, questions, folder, token=token) as (url, app):
            yield int(url.rpartition(":")[2]), app, play_samples(*about)
        return
    run = folder / "run" if (folder / "run").is_dir() else make_run(folder, mailbox, questions, num_steps=1)
    with viewed_app(run, token=token) as (url, app):
        yield int(url.rpartition(":")[2]), app, view_samples(*about)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("guarded")


@pytest.fixture(scope="module", params=["play", "view"])
def page(request: pytest.FixtureRequest, folder: Path) -> Iterator[Page]:
    with opened(request.param, folder) as page:
        yield page


def sent(port: int, sample: Sample, headers: Headers, method: str) -> tuple[int, dict[str, str], bytes]:
    """Send one request with these headers alone; of a stream only the beginning is read."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest(method, sample.target, skip_host=True, skip_accept_encoding=True)
    body = sample.body if method == "POST" and sample.body else b""
    framing = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    for name, value in [*headers, *framing]:
        connection.putheader(name, value)
    connection.endheaders(body)
    try:
        answer = connection.getresponse()
        return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read1(10_000)
    finally:
        connection.close()


def test_f70_every_route_of_the_page_has_a_sample_here_and_answers_the_page_itself(page: Page) -> None:
    port, app, samples = page
    routes: list[Route] = app.app.routes
    assert {route.path for route in routes} == set(samples), "give the new route a sample request"
    for path, sample in samples.items():
        assert sent(port, sample, own_headers(port, sample.method), sample.method)[0] == sample.status, path


@pytest.mark.parametrize("kind", FOREIGN)
def test_f70_no_route_and_no_stream_answers_a_request_from_elsewhere(page: Page, kind: str) -> None:
    port, _, samples = page
    foreign = FOREIGN[kind](port)
    answered = []
    for name, headers in foreign.items():
        if any(value != value.strip() for _, value in headers):
            continue  # a space at the end is no part of the value on the wire
        for path, sample in samples.items():
            status, given, said = sent(port, sample, headers, sample.method)
            if status not in STATUSES or "event-stream" in given.get("content-type", "") or len(said) > 100:
                answered.append((name, path, status))
    assert answered == []


def test_f70_no_route_takes_another_method_and_only_the_page_itself_may_be_typed(page: Page) -> None:
    port, _, samples = page
    own = ("Host", f"127.0.0.1:{port}")
    for path, sample in samples.items():
        for method in REFUSED_METHODS:
            assert sent(port, sample, [own], method)[0] == 405, (path, method)
        typed = sent(port, sample, [own, ("Sec-Fetch-Site", "none")], sample.method)[0]
        assert typed == (200 if path == "/" else 403), path


def test_f70_every_answer_of_every_route_carries_the_headers(page: Page) -> None:
    port, _, samples = page
    for path, sample in samples.items():
        for headers in (own_headers(port, sample.method), refused_hosts(port)["a rebound name"]):
            given = sent(port, sample, headers, sample.method)[1]
            for name in set(HEADERS) - {"Cache-Control"}:
                assert given[name.lower()] == HEADERS[name] or "html" in path, (path, name)
            assert "access-control-allow-origin" not in given


@pytest.mark.parametrize("name", ["play", "view"])
def test_f72_with_a_token_no_route_answers_without_it(folder: Path, name: str) -> None:
    with opened(name, folder, TOKEN) as (port, _, samples):
        for path, sample in samples.items():
            own = own_headers(port, sample.method)
            assert sent(port, sample, own, sample.method)[0] == 401, path
            assert sent(port, sample, [*own, ("Cookie", f"{COOKIE}=wrong")], sample.method)[0] == 401, path
            assert sent(port, sample, [*own, ("Cookie", f"{COOKIE}={TOKEN}")], sample.method)[0] == sample.status, path
