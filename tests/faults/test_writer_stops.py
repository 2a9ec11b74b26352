"""What happens to a run of the question writer that is stopped: by a budget, a refused key, a signal, a kill."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing

import pytest

from agent.question_writer.models import CallLimits
from inbox_env.errors import ExitCode, ResourceError
from inbox_env.lock import mailbox_lock
from inbox_env.questions import read_questions
from rewards.judge_cache import JudgeCache
from scripts.cli import main
from tests.agent.chat_server import failing
from tests.agent.question_player import Player, playing
from tests.faults.writer_site import COUNT, once, reasons, write

CANARY = "sk-canary-0123456789abcdef"


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory):
    return Player().build(tmp_path_factory.mktemp("writer") / "my.db")


@pytest.fixture
def player():
    return Player()


@pytest.fixture(scope="module")
def undisturbed(mailbox):
    """What an honest model gives, and how many calls that takes; the client library is loaded by then."""
    with playing(Player()) as server:
        return write(server, mailbox), len(server.requests)


def test_a_spent_budget_keeps_what_is_proved_and_goes_on_when_raised(player, mailbox, undisturbed, tmp_path):
    whole, num_calls = undisturbed
    with closing(JudgeCache(tmp_path / "c.sqlite")) as cache, playing(player) as server:
        limits = CallLimits(call_seconds=5.0, retry_seconds=1.0, max_calls=num_calls // 2)
        written = write(server, mailbox, cache, limits)
        assert len(server.requests) == num_calls // 2
        assert isinstance(written.stop, ResourceError)
        assert "raise --max-calls and run it again" in str(written.stop)
        assert written.num_drafts == len(written.questions) + len(written.rejections)
        assert reasons(written)["unfinished"] + len(written.failures) > 0
        assert {one.question for one in written.questions} <= {one.question for one in whole.questions}
        assert write(server, mailbox, cache) == whole
        assert len(server.requests) == num_calls


@pytest.fixture
def command(mailbox, tmp_path, monkeypatch, capsys):
    """Run the command as it reaches a provider, whose address is the server's."""
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)

    def run(server, *options):
        monkeypatch.setenv("MAILSLEUTH_API_BASE", server.url)
        arguments = ["--mailbox", str(mailbox), "--inbox", "me", "--out", str(tmp_path / "q.jsonl"), "--count", "4"]
        return main(["questions", *arguments, "--writer", "api:openai/gpt-4o", *options]), capsys.readouterr()

    return run


def test_a_budget_in_dollars_stops_with_the_code_of_a_resource(player, command, tmp_path, undisturbed):
    player.model = "gpt-4o"
    with playing(player) as server:
        code, streams = command(server, "--budget", "0.003", "--concurrency", "1")
        assert code == ExitCode.RESOURCE
        assert streams.err.splitlines()[-1].startswith(
            "error[E-RES-78]: the question writer's 0.003 dollars are used up"
        )
        assert 0.003 <= 3.2e-4 * len(server.requests) < 0.0035
        first = read_questions(tmp_path / "q.jsonl") if (tmp_path / "q.jsonl").exists() else []
        code, streams = command(server, "--budget", "1")
        assert code == 0
    assert "dollars" in streams.out
    assert len(read_questions(tmp_path / "q.jsonl")) == 4 > len(first)


def test_a_refused_key_ends_it_at_once_and_is_never_repeated(player, command, tmp_path, undisturbed, caplog):
    caplog.set_level(logging.DEBUG)
    echo = failing(401, f"Incorrect API key provided: {CANARY}")
    player.writer = lambda drafts: echo
    with playing(player) as server:
        code, streams = command(server, "--debug", "--concurrency", "4")
        assert code == ExitCode.UPSTREAM
        assert 1 <= len(server.requests) <= 4
    player.writer, player.solver = once(failing(400, CANARY)), once(failing(400, f"?key={CANARY}"))
    with playing(player) as server:
        code, more = command(server)
        assert code == 0
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    ours = "".join(record.getMessage() for record in caplog.records if not record.name.startswith("openai"))
    assert CANARY.encode() not in files
    assert CANARY not in streams.out + streams.err + more.out + more.err + ours
    body = player.inbox.emails[3].body.split("\n")[0]
    assert body not in streams.err + more.err + more.out + ours


def test_a_second_run_on_the_same_file_is_refused(player, command, tmp_path, undisturbed):
    with playing(player) as server, mailbox_lock(tmp_path / "q.jsonl"):
        code, streams = command(server)
        assert code == ExitCode.RESOURCE
        assert "locked by pid" in streams.err
        assert server.requests == []


def started(mailbox, out, server):
    code = "import sys; from scripts.cli import main; sys.exit(main())"
    arguments = ["--mailbox", str(mailbox), "--inbox", "me", "--out", str(out), "--count", str(COUNT)]
    command = [sys.executable, "-c", code, "questions", *arguments, "--writer", f"openai:{server.url}#m"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def stop_after(server, process, num_requests, signum):
    for _ in range(1200):
        if len(server.requests) >= num_requests or process.poll() is not None:
            break
        time.sleep(0.02)
    process.send_signal(signum)
    return process.communicate(timeout=30)


def slowly(player):
    for hook in ("writer", "solver"):
        honest = getattr(player, hook)
        setattr(player, hook, lambda *said, honest=honest: (time.sleep(0.05), honest(*said))[1])
    return player


def kill_and_go_on(mailbox, tmp_path, whole, num_calls, points):
    with playing(slowly(Player())) as server:
        for number in points:
            process = started(mailbox, tmp_path / "q.jsonl", server)
            stop_after(server, process, number, signal.SIGKILL)
            assert process.returncode == -signal.SIGKILL
            assert not (tmp_path / "q.jsonl").exists()
        process = started(mailbox, tmp_path / "q.jsonl", server)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        asked = Counter(json.dumps(request["messages"]) for request in server.requests)
    assert read_questions(tmp_path / "q.jsonl") == whole.questions
    assert len(asked) == num_calls
    assert asked.total() <= num_calls + 8 * len(points)  # what was under way when it was killed is asked again
    assert sorted(path.name for path in tmp_path.iterdir() if "sqlite-" not in path.name) == [
        "q.jsonl", "q.jsonl.rejects.jsonl", "q.jsonl.replies.sqlite",
    ]  # fmt: skip


def test_a_run_that_is_given_up_goes_on_and_ends_as_if_nothing_had_been(player, mailbox, tmp_path, undisturbed):
    whole, num_calls = undisturbed
    left = [8]

    def leave(*said):
        left[0] -= 1
        if not left[0]:
            raise SystemExit("the process ends here")
        return said[-1]

    class Leaving(JudgeCache):
        def put(self, key, reply):
            super().put(key, leave(reply))

    with playing(player) as server:
        with closing(Leaving(tmp_path / "c.sqlite")) as cache, pytest.raises(SystemExit):
            write(server, mailbox, cache)
        with closing(JudgeCache(tmp_path / "c.sqlite")) as cache:
            assert write(server, mailbox, cache) == whole
        asked = Counter(json.dumps(request["messages"]) for request in server.requests)
    assert len(asked) == num_calls
    assert num_calls < asked.total() <= num_calls + 8


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_many_kills_lose_nothing(mailbox, tmp_path, undisturbed, seed):
    kill_and_go_on(mailbox, tmp_path, *undisturbed, points=[1 + seed, 6 + seed, 11 + seed, 16 + seed])


@pytest.mark.slow
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_is_orderly(mailbox, tmp_path, undisturbed, signum, code):
    with playing(slowly(Player())) as server:
        process = started(mailbox, tmp_path / "q.jsonl", server)
        begun = time.monotonic()
        _, err = stop_after(server, process, 5, signum)
        assert process.returncode == code
        assert time.monotonic() - begun < 60
        assert "Traceback" not in err
        assert not (tmp_path / "q.jsonl").exists()
        process = started(mailbox, tmp_path / "q.jsonl", server)
        process.communicate(timeout=120)
        assert process.returncode == 0
    assert read_questions(tmp_path / "q.jsonl") == undisturbed[0].questions
