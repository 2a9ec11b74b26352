"""`questions --writer` against a real server that plays both models: estimate, consent, files, counts, going on."""

from __future__ import annotations

import json
import re
import sqlite3
from dataclasses import dataclass
from typing import get_args

import pytest

from agent.question_writer import rejections
from agent.question_writer.estimate import BYTES_OF_TOKEN, KEPT_OF_BATCH
from inbox_env.questions import read_questions
from inbox_env.store import EmailStore
from scripts.cli import main
from tests.agent.chat_server import ChatServer
from tests.agent.question_player import Player, playing

COUNT = 8


@pytest.fixture(scope="module")
def player():
    return Player()


@pytest.fixture(scope="module")
def mailbox(player, tmp_path_factory):
    return player.build(tmp_path_factory.mktemp("mail") / "my.db")


@dataclass
class Run:
    code: int
    out: str
    err: str
    server: ChatServer


@pytest.fixture
def write(player, mailbox, tmp_path, capsys, monkeypatch):
    """Run the command against the player; `elsewhere` says that the server is another machine."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def run(*options, count=COUNT, out="q.jsonl", server=None):
        arguments = ["questions", "--mailbox", str(mailbox), "--inbox", "me", "--out", str(tmp_path / out)]
        arguments += ["--count", str(count), *options]
        if "--writer" not in options:
            arguments += ["--writer", f"openai:{server.url}#m"]
        code = main(arguments)
        return Run(code, *capsys.readouterr(), server)

    return run


@pytest.fixture(scope="module")
def done(player, mailbox, tmp_path_factory):
    """One whole run, its files and what the server was asked."""
    folder = tmp_path_factory.mktemp("done")
    with playing(player) as server:
        arguments = ["--mailbox", str(mailbox), "--inbox", "me", "--writer", f"openai:{server.url}#m"]
        arguments += ["--out", str(folder / "q.jsonl"), "--count", str(COUNT), "--split", "train"]
        assert main(["questions", *arguments]) == 0
        yield folder, arguments, server


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_questions_are_what_bench_and_train_read_and_have_no_leak(done, mailbox, capsys):
    questions = read_questions(done[0] / "q.jsonl")
    assert len(questions) == COUNT
    assert len({one.id for one in questions}) == len({one.question for one in questions}) == COUNT
    assert {one.split for one in questions} == {"train"}
    assert all(one.how_realistic == 0.8 and one.asked_on and one.inbox_address for one in questions)
    assert {"single", "unanswerable"} <= {one.kind for one in questions}
    assert main(["questions", "--mailbox", str(mailbox), "--check", str(done[0] / "q.jsonl")]) == 0
    assert "leaks: none; 8 of 8" in capsys.readouterr().out
    bench = ["bench", "--mailbox", str(mailbox), "--questions", str(done[0] / "q.jsonl"), "--policy", "oracle"]
    assert main([*bench, "--out", str(done[0] / "bench"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["policies"][0]["accuracy"] == 1.0


def test_every_draft_ends_as_a_question_or_as_a_line_with_its_reason(done):
    drafts = sum(len(json.loads(one)["drafts"]) for one in _replies(done[0] / "q.jsonl.replies.sqlite", "drafts"))
    rejects = rows(done[0] / "q.jsonl.rejects.jsonl")
    assert drafts == COUNT + len(rejects)
    assert all({"inbox", "batch", "reason", "detail", "kind", "text"} == set(row) and row["text"] for row in rejects)


def _replies(path, key):
    said = [row[0] for row in sqlite3.connect(path).execute("SELECT reply FROM replies")]
    return [one for one in said if key in json.loads(one)]


def test_the_same_command_again_asks_nothing_and_writes_the_same(done, capsys):
    folder, arguments, server = done
    before = {name: (folder / name).read_bytes() for name in ("q.jsonl", "q.jsonl.rejects.jsonl")}
    num_asked = len(server.requests)
    assert main(["questions", *arguments, "--dry-run"]) == 0
    assert f"so far {num_asked} calls and 0.0000 dollars" in capsys.readouterr().out
    assert main(["questions", *arguments]) == 0
    assert "\n0 calls" in capsys.readouterr().out
    assert len(server.requests) == num_asked
    assert before == {name: (folder / name).read_bytes() for name in before}


def test_more_questions_keep_what_was_said(done, capsys):
    folder, arguments, server = done
    num_asked = len(server.requests)
    more = [*arguments, "--count", str(COUNT + 4), "--out", str(folder / "q.jsonl")]
    before = read_questions(folder / "q.jsonl")
    assert main(["questions", *more]) == 0
    after = read_questions(folder / "q.jsonl")
    assert len(after) == COUNT + 4
    asked = [json.dumps(request["messages"]) for request in server.requests]
    assert len(set(asked)) == len(asked) > num_asked  # nothing twice
    assert len({one.question for one in before} & {one.question for one in after}) >= COUNT - 2
    assert main(["questions", *arguments]) == 0  # as it was
    assert read_questions(folder / "q.jsonl") == before


def test_a_dry_run_estimates_and_sends_nothing(player, write, tmp_path, monkeypatch):
    with playing(player) as server:
        run = write("--dry-run", server=server)
        assert (run.code, server.requests) == (0, [])
        anonymous = write("--dry-run", "--writer", f"openai:{server.url}")  # not even what it serves is asked
        assert (anonymous.code, server.requests) == (0, [])
    priced = write("--dry-run", "--writer", "litellm:openai/gpt-4o", "--budget", "1")
    assert re.search(
        r"^about \d+ batches, \d+ calls \(\d+ to write, \d+ to prove\), [\d,]+ tokens to read", run.out, re.M
    )
    assert "no price is known" in run.out
    assert re.search(r"about 0\.\d\d dollars", priced.out)
    assert "mail leaves this machine" not in run.err + priced.err
    assert run.out.endswith("nothing was sent\n")
    assert list(tmp_path.iterdir()) == []


def test_the_estimate_is_of_the_right_size(done, write, player):
    with playing(player) as server:
        out = write("--dry-run", server=server).out
    calls = int(re.search(r"(\d+) calls", out)[1])
    assert 0.4 < calls / len(done[2].requests) < 2.5
    read = int(re.search(r"([\d,]+) tokens to read", out)[1].replace(",", ""))
    sent = sum(len(one["content"].encode()) for asked in done[2].requests for one in asked["messages"]) / BYTES_OF_TOKEN
    assert 0.3 < read / sent < 3
    assert KEPT_OF_BATCH > 1


@pytest.mark.parametrize("spec", ["api:openai/m", "litellm:anthropic/m", "openai:https://llm.example.org/v1#m"])
def test_without_a_yes_nothing_is_sent_and_the_line_says_what_would_be(player, write, tmp_path, monkeypatch, spec):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.delenv("MAILSLEUTH_API_BASE", raising=False)
    run = write("--writer", spec)
    assert run.code == 2
    line, error = run.err.splitlines()
    host = {"api:openai/m": "openai", "litellm:anthropic/m": "anthropic"}.get(spec, "llm.example.org")
    assert line.startswith("mail leaves this machine: mails of me (about 4 batches of 8 and those that searches find")
    assert line.endswith(f"up to 1,500 characters) and questions about them go to {host}")
    assert "--yes-send" in error
    assert list(tmp_path.iterdir()) == []


def test_a_server_on_this_machine_needs_no_yes(done, capsys):
    assert main(["questions", *done[1]]) == 0
    assert "mail leaves" not in capsys.readouterr().err


def test_writer_and_solver_may_be_two_models(player, write, tmp_path):
    with playing(player) as writer, playing(player) as solver:
        run = write("--solver", f"openai:{solver.url}#s", server=writer, count=2)
        assert run.code == 0
        assert {request["model"] for request in writer.requests} == {"m"}
        assert {request["model"] for request in solver.requests} == {"s"}
        assert all("write questions" in request["messages"][0]["content"] for request in writer.requests)


def test_mail_that_gives_less_says_so(player, write, tmp_path, monkeypatch):
    with playing(player) as server:
        monkeypatch.setattr(player, "writer", lambda drafts: drafts[:1])
        run = write(server=server, count=6, out="few.jsonl")
    number = len(read_questions(tmp_path / "few.jsonl"))
    assert run.code == 0
    assert number < 6
    assert f"me: its mail gives {number} questions, not 6" in run.out
    assert len(server.requests) <= 4 * 3 * 3


def test_no_question_at_all_is_a_failure_that_names_the_reasons(player, write, tmp_path, monkeypatch):
    with playing(player) as server:
        monkeypatch.setattr(player, "writer", lambda drafts: [one | {"answer": "yes"} for one in drafts])
        run = write(server=server, out="none.jsonl")
    assert run.code == 6
    assert run.err.splitlines()[-1].startswith("error[E-NET-12]: no draft became a question - ")
    assert not (tmp_path / "none.jsonl").exists()
    assert {row["reason"] for row in rows(tmp_path / "none.jsonl.rejects.jsonl")} == {"answer"}


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (["--writer", "gpt"], "names no chat model"),
        (["--writer", "keywords-and"], "names no chat model"),
        (["--writer", "openai:http://127.0.0.1:1/v1#m", "--budget", "1"], "no price is known"),
        (["--writer", "openai:http://127.0.0.1:1/v1#m", "--budget", "-1"], "--budget is a number of dollars"),
        (["--writer", "openai:http://127.0.0.1:1/v1#m", "--budget", "nan"], "--budget is a number of dollars"),
        (
            ["--writer", "openai:http://127.0.0.1:1/v1#m", "--concurrency", "0"],
            "--concurrency and --max-tokens are at least 1",
        ),
        (["--writer", "openai:http://127.0.0.1:1/v1#m", "--min-realism", "2"], "between 0 and 1"),
        (["--writer", "openai:http://127.0.0.1:1/v1#m", "--inbox", "nobody"], "no inbox 'nobody'"),
        (["--writer", "openai:http://127.0.0.1:1/v1#m", "--check", "q.jsonl"], "do not go together"),
    ],
)
def test_wrong_use_gets_one_line(write, tmp_path, options, shown):
    run = write(*options)
    assert run.code == 2
    assert shown in run.err
    assert run.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_options_of_the_writer_need_a_writer(mailbox, tmp_path, capsys):
    arguments = ["questions", "--mailbox", str(mailbox), "--inbox", "me", "--out", str(tmp_path / "q.jsonl")]
    assert main([*arguments, "--dry-run"]) == 2
    assert "this goes with --writer" in capsys.readouterr().err


def test_several_inboxes_get_as_many_each_and_keep_to_themselves(player, tmp_path, capsys):
    other = Player(seed=2)
    path = other.build(player.build(tmp_path / "two.db"), "you")
    player_of = {"me": player, "you": other}

    class Both(Player):
        model = "m"

        def __init__(self):
            pass

        def say(self, system, user):
            one = next((one for one in player_of.values() if _owner(one) in system), player)
            return one.say(system, user)

    with playing(Both()) as server:
        arguments = ["--mailbox", str(path), "--inbox", "me", "--inbox", "you", "--writer", f"openai:{server.url}#m"]
        assert main(["questions", *arguments, "--out", str(tmp_path / "q.jsonl"), "--count", "3"]) == 0
    questions = read_questions(tmp_path / "q.jsonl")
    assert [sum(one.inbox == name for one in questions) for name in ("me", "you")] == [3, 3]
    store = EmailStore.open(path)
    assert all(store.read(one.inbox, gold, None) for one in questions for gold in one.message_ids)


def _owner(player):
    return player.inbox.owner.name


def test_every_reason_is_explained():
    reasons = set(get_args(rejections.Reason))
    assert reasons == set(re.findall(r"^\| `(\w+)` \|", rejections.__doc__, re.MULTILINE))
