"""What the page asks of its server, over a real connection."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from inbox_env.errors import ResourceError, UsageError
from inbox_env.inbox import Inbox
from inbox_env.questions import Question
from inbox_env.search.base import SearchQuery
from inbox_env.store import EmailStore
from inbox_env.trajectory import read_trajectories
from scripts.playground.server import Address, listen
from scripts.playground.static_files import FOLDER
from tests.scripts.playground.served import ask, events, invented, served

MAX_PAGE_BYTES = 200_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def questions(folder: Path) -> list[Question]:
    return invented(folder)[1]


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    mailbox, questions = invented(folder)
    with served(mailbox, questions, folder) as url:
        yield url


def single(questions: list[Question]) -> Question:
    return next(question for question in questions if question.kind == "single")


def test_the_list_is_the_inbox_newest_first_and_in_pages(url: str, questions: list[Question]) -> None:
    inbox = questions[0].inbox
    first, second = (httpx.get(f"{url}/api/mails", params={"inbox": inbox, "page": page}).json() for page in (1, 2))
    numbers = [hit["number"] for hit in first["hits"] + second["hits"]]
    assert first["num_matches"] == 100
    assert numbers == sorted(numbers, reverse=True) == list(range(100, 0, -1))


def test_search_as_you_type_is_the_agents_own_search(url: str, folder: Path, questions: list[Question]) -> None:
    store = EmailStore.open(invented(folder)[0])
    inbox = Inbox(store, questions[0].inbox)
    word = inbox.search(SearchQuery(()), as_of=None, limit=1).hits[0].subject.split()[-1]
    found = httpx.get(f"{url}/api/mails", params={"inbox": inbox.name, "q": word}).json()
    wanted = inbox.search(SearchQuery((word,), order="newest"), as_of=None, limit=50)
    store.close()
    assert [hit["number"] for hit in found["hits"]] == [hit.number for hit in wanted.hits]
    assert found["call"] == {"keywords": [word]}


def test_mail_after_the_chosen_day_does_not_exist(url: str, questions: list[Question]) -> None:
    inbox = questions[0].inbox
    newest = httpx.get(f"{url}/api/mails", params={"inbox": inbox}).json()["hits"][0]
    oldest = httpx.get(f"{url}/api/mails", params={"inbox": inbox, "page": 2}).json()["hits"][-1]
    day = oldest["date"][:10]
    then = httpx.get(f"{url}/api/mails", params={"inbox": inbox, "as_of": day}).json()
    assert then["num_matches"] < 100
    gone = httpx.get(f"{url}/api/mail", params={"inbox": inbox, "ref": newest["number"], "as_of": day})
    assert gone.status_code == 404


def test_a_labelled_question_is_played_turn_by_turn_and_scored(url: str, questions: list[Question]) -> None:
    question = single(questions)
    told = ask(url, inbox=question.inbox, question_id=question.id, policy="oracle")
    names = [name for name, _ in told]
    assert names[0] == "question"
    assert names[-2:] == ["ending", "score"]
    turn, ending, score = (
        next(data for name, data in told if name == wanted) for wanted in ("turn", "ending", "score")
    )
    assert turn["calls"][0]["opened"][0]["message_id"] == question.message_ids[0]
    assert ending["sources"][0]["message_id"] in question.message_ids
    assert (score["outcome"], score["read"], score["cited"]) == ("right", True, True)
    assert score["reward"] == pytest.approx(sum(score["parts"].values()))


def test_the_supporting_quote_stands_in_the_mail_where_the_page_marks_it(url: str, questions: list[Question]) -> None:
    question = single(questions)
    told = dict(ask(url, inbox=question.inbox, question_id=question.id, policy="oracle"))
    source = told["ending"]["sources"][0]
    params = {"inbox": question.inbox, "ref": source["message_id"], "quote": source["quote"]}
    mail = httpx.get(f"{url}/api/mail", params=params).json()
    start, end = mail["quote"]
    assert mail["body"][start:end].casefold() == source["quote"].casefold()
    assert str(question.answer).casefold() in source["quote"].casefold()


def test_why_a_mail_was_not_found_names_each_search_and_each_keyword(url: str, questions: list[Question]) -> None:
    for question in questions:
        if question.answerable:
            told = dict(ask(url, inbox=question.inbox, question_id=question.id, policy="keywords-and"))
            search = told["score"]["searches"][0]
            assert {one["keyword"] for one in search["keywords"]}
            if search["num_found"] == 0:
                assert search["ranks"][0]["rank"] is None
                assert any(one["num_found"] for one in search["keywords"])
                return
    raise AssertionError("the heuristic found every mail")


def test_playing_by_hand_is_scored_and_saved_as_a_trajectory(url: str, folder: Path, questions: list[Question]) -> None:
    question = single(questions)
    told: list[tuple[str, dict]] = []
    request = {"inbox": question.inbox, "question_id": question.id, "policy": "hand"}
    calls = iter(
        [
            ("read_email", {"id": question.message_ids[0]}),
            ("return_final_answer", {"answer": question.answer, "sources": [question.message_ids[0]]}),
        ]
    )
    with httpx.stream("POST", f"{url}/api/ask/play", json=request, timeout=30) as answer:
        lines: list[str] = []
        for line in answer.iter_lines():
            lines.append(line)
            if line.startswith("data: ") and lines[-2] in ("event: question", "event: turn"):
                told = events(iter(lines))
                name, arguments = next(calls, ("", {}))
                if name:
                    body = {"episode": told[0][1]["episode"], "name": name, "arguments": arguments}
                    assert httpx.post(f"{url}/api/ask/call", json=body).status_code == 202
    score = dict(events(iter(lines)))["score"]
    assert score["outcome"] == "right"
    saved = read_trajectories(folder / "by-hand.jsonl")
    assert [(one.question_id, one.reward) for one in saved] == [(question.id, score["reward"])]


def test_f80_two_tabs_with_two_inboxes_see_nothing_of_each_other(url: str, questions: list[Question]) -> None:
    names = sorted({question.inbox for question in questions})
    assert len(names) == 2

    def look(name: str) -> set[str]:
        rows = (httpx.get(f"{url}/api/mails", params={"inbox": name, "page": page}).json() for page in (1, 2))
        return {hit["message_id"] for row in rows for hit in row["hits"]}

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(look, names * 8))
    assert all(seen == found[place % 2] for place, seen in enumerate(found))
    assert not found[0] & found[1]
    foreign = sorted(found[1])[0]
    assert httpx.get(f"{url}/api/mail", params={"inbox": names[0], "ref": foreign}).status_code == 404


BAD = {
    "no JSON": (b"{", 400, "application/json"),
    "an unknown field": (b'{"inbox": "x", "policy": "oracle", "nonsense": 1}', 400, "application/json"),
    "a form": (b"inbox=x", 415, "application/x-www-form-urlencoded"),
    "ten megabytes": (b'{"question": "' + b"x" * 10_000_000 + b'"}', 413, "application/json"),
    "deep nesting": (b"[" * 50_000, 400, "application/json"),
    "no inbox of this name": (b'{"inbox": "nobody", "question": "?", "policy": "oracle"}', 422, "application/json"),
}


@pytest.mark.parametrize("name", BAD)
def test_f75_a_bad_request_gets_one_line_and_the_server_lives(url: str, name: str) -> None:
    body, status, kind = BAD[name]
    answer = httpx.post(f"{url}/api/ask/play", content=body, headers={"content-type": kind})
    assert answer.status_code == status
    assert "\n" not in answer.json()["error"]
    assert httpx.get(f"{url}/api/views").status_code == 200


OUTSIDE = [
    *("/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static//etc/passwd", "/static/..\\app.py"),
    *("/static/%00index.html", "/static/C:%5Cwindows", "//evil.test/", "/\\evil.test", "/etc/passwd", "/static/"),
]


@pytest.mark.parametrize("path", OUTSIDE)
def test_f71_no_path_leads_out_of_the_pages_own_files(url: str, path: str) -> None:
    host = url.removeprefix("http://")
    import http.client

    connection = http.client.HTTPConnection(host, timeout=10)
    connection.putrequest("GET", path, skip_host=True)
    connection.putheader("Host", host)
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 404
    assert answer.getheader("location") is None
    connection.close()


def test_f76_a_model_that_fails_is_told_and_nothing_is_lost(url: str, questions: list[Question]) -> None:
    told = dict(ask(url, inbox=questions[0].inbox, question="Where?", policy="local:no/such/folder"))
    assert "no/such/folder" in told["failed"]["error"]


REMOTE = {
    "api:openai/gpt-x": "openai",
    "api+json:openai/gpt-x": "openai",
    "litellm:openai/gpt-x": "openai",
    "openai:https://llm.example.org/v1": "llm.example.org",
    "openai+json:https://llm.example.org/v1#m": "llm.example.org",
}


@pytest.mark.parametrize("policy", REMOTE)
def test_mail_goes_to_a_remote_model_only_when_that_was_agreed_to(
    url: str, questions: list[Question], policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MAILSLEUTH_API_BASE", "OPENAI_API_BASE", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    request = {"inbox": questions[0].inbox, "question": "Where?", "policy": policy}
    answer = httpx.post(f"{url}/api/ask/play", json=request)
    assert answer.status_code == 422
    assert f"mail would be sent to {REMOTE[policy]}" in answer.json()["error"]
    assert destination_of(url, policy) == {"sends_to": REMOTE[policy]}


@pytest.mark.parametrize("policy", ["local:data/base", "openai:http://127.0.0.1:8000", "api:ollama/m", "oracle"])
def test_a_model_on_this_machine_wants_no_consent(url: str, policy: str) -> None:
    assert destination_of(url, policy) == {"sends_to": ""}


def destination_of(url: str, policy: str) -> dict[str, str]:
    answer: dict[str, str] = httpx.get(f"{url}/api/ask/destination", params={"policy": policy}).json()
    return answer


def test_f74_readers_that_leave_take_their_episodes_with_them(url: str, questions: list[Question]) -> None:
    question = single(questions)
    request = {"inbox": question.inbox, "question_id": question.id, "policy": "hand"}

    def open_and_leave() -> str:
        with httpx.stream("POST", f"{url}/api/ask/play", json=request, timeout=30) as answer:
            lines = answer.iter_lines()
            return events(iter([next(lines), next(lines)]))[0][1]["episode"]

    open_and_leave()
    before = num_descriptors(), threading.active_count()
    names = [open_and_leave() for _ in range(100)]
    deadline = time.monotonic() + 2
    body = {"episode": names[-1], "name": "read_email", "arguments": {}}
    while (answer := httpx.post(f"{url}/api/ask/call", json=body)).status_code != 404:
        assert time.monotonic() < deadline, answer.text
    while abs(num_descriptors() - before[0]) > 2 and time.monotonic() < deadline + 3:
        time.sleep(0.05)
    assert abs(num_descriptors() - before[0]) <= 2
    assert abs(threading.active_count() - before[1]) <= 2


@pytest.mark.slow
def test_f74_readers_that_leave_a_model_leave_nothing_behind(folder: Path, questions: list[Question]) -> None:
    policy = f"local:{Path(__file__).resolve().parents[3] / 'data' / 'base'}"
    request = {"inbox": questions[0].inbox, "question": "Who invites me to dinner?", "policy": policy}

    def leave(times: int) -> tuple[int, int, float]:
        for _ in range(times):
            with httpx.stream("POST", f"{url}/api/ask/play", json=request, timeout=60) as answer:
                next(answer.iter_lines())
        ask(url, **request)  # whole, so that nothing of the others still runs
        memory = int(Path("/proc/self/statm").read_text("ascii").split()[1]) * 4096 / 2**20
        return num_descriptors(), threading.active_count(), memory

    with served(invented(folder)[0], questions, folder, policy=policy) as url:
        leave(100)
        before, after = leave(20), leave(100)
    assert abs(after[0] - before[0]) <= 2
    assert abs(after[1] - before[1]) <= 2
    assert after[2] - before[2] < 40


def num_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_f77_the_page_is_small_and_names_no_other_place() -> None:
    files = [path for path in FOLDER.iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MAX_PAGE_BYTES
    for path in files:
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", text), path.name
        assert "innerHTML" not in text


def test_f72_a_wide_address_wants_permission_and_a_token() -> None:
    for options in ({}, {"is_network_allowed": True}):
        with pytest.raises(UsageError, match="other machines"):
            Address.chosen("0.0.0.0", 1, **{"is_network_allowed": False} | options, environment={})
    token = {"MAILSLEUTH_TOKEN": "x" * 16}
    assert Address.chosen("0.0.0.0", 1, is_network_allowed=True, environment=token).token == "x" * 16


def test_f73_a_busy_port_means_the_next_one() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        try:
            with listen("127.0.0.1", port) as second:
                assert port < second.getsockname()[1] < port + 20
        except ResourceError:
            pytest.skip("twenty ports in a row are busy")


def test_a_small_answer_is_sent_at_once(url: str) -> None:
    """Without TCP_NODELAY the body waits about 40 ms for the head to be acknowledged."""
    seconds = []
    with httpx.Client() as client:
        for _ in range(30):
            started = time.perf_counter()
            client.get(f"{url}/api/views")
            seconds.append(time.perf_counter() - started)
    assert sorted(seconds)[len(seconds) // 2] < 0.03
