"""`bench` against a real server on loopback that fails and hangs: the same figures, nothing lost or doubled."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

from agent.arena import Arena
from agent.evaluation_folder import EvaluationFolder
from inbox_env.env import EnvLimits
from inbox_env.questions import write_questions
from inbox_env.store import build_inbox
from inbox_env.synthetic import generate_inbox
from inbox_env.trajectory import read_trajectories
from scripts.cli import main
from tests.scripts.live_policy import in_process, live


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A mailbox, its question file, and the questions (no two with the same text)."""
    folder = tmp_path_factory.mktemp("live")
    inbox = generate_inbox("train", 7, num_emails=100, num_questions=80)
    build_inbox(folder / "m.db", inbox.name, inbox.emails, owner=inbox.owner)
    questions = list({question.question: question for question in inbox.questions}.values())
    write_questions(folder / "q.jsonl", questions)
    return folder, questions


def bench_words(folder, out, policy, *options):
    return ["bench", "--mailbox", str(folder / "m.db"), "--questions", str(folder / "q.jsonl"), "--policy", policy,
            "--out", str(out), "--call-seconds", "0.6", *options]  # fmt: skip


def row_of(out):
    return json.loads((out / "summary.json").read_text())["policies"][0]


@pytest.mark.parametrize("kind", ["openai", "openai+json"])
def test_errors_and_hangs_change_no_figure(site, tmp_path, kind):
    folder, questions = site
    arena = Arena.open(folder / "m.db", questions, EnvLimits())
    expected = EvaluationFolder(tmp_path / "here", arena, "x", "answer").play(in_process(arena.gold), "base", questions)
    assert 0.5 < expected.accuracy < 1
    with live(questions, errors=range(10, 400, 20), hangs=range(25, 400, 50)) as server:  # 5 % and 2 %
        assert main(bench_words(folder, tmp_path / "out", f"{kind}:{server.url}")) == 0
        assert server.num_requests > 2 * 0.75 * len(questions)
    row = row_of(tmp_path / "out")
    for name in ("num_correct", "accuracy", "ci95", "found", "read", "cited", "abstained_right", "answered_wrong"):
        value = getattr(expected, name)
        assert row[name] == (list(value) if isinstance(value, tuple) else value), name
    assert row["errors"]["outage"] == 0
    assert row["num_tokens"] == 5 * sum(
        len(one.turns) for one in read_trajectories(next((tmp_path / "out").glob("openai*")))
    )
    assert row["cost_per_1000"] is None  # whose server it is nobody knows


def test_with_the_tools_of_art_e_the_same_model_is_as_good(site, tmp_path):
    folder, questions = site
    with live(questions) as server:
        policies = [f"openai:{server.url}", f"openai+json:{server.url}"]
        words = bench_words(folder, tmp_path / "out", policies[0], "--policy", policies[1], "--suite", "arte-compat")
        assert main(words) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    first, second = summary["policies"]
    assert 0.5 < first["accuracy"] == second["accuracy"] < 1
    assert first["invalid_calls"] == 0
    assert first["abstained_right"] == 1
    assert {one["name"] for one in summary["published"]} >= {"o3, prompted"}
    assert "o3, prompted" not in {row["name"] for row in summary["policies"]}
    assert "Published elsewhere" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.slow
def test_a_killed_comparison_goes_on_without_a_lost_or_doubled_episode(site, tmp_path):
    folder, questions = site
    with live(questions, errors=(9, 30), delay_seconds=0.05) as server:
        words = bench_words(folder, tmp_path / "out", f"openai:{server.url}#scripted", "--api-concurrency", "2")
        process = subprocess.Popen([sys.executable, "-c", "from scripts.cli import main; main()", *words])
        kept = wait_for_lines(tmp_path / "out", 12)
        process.send_signal(signal.SIGKILL)
        process.wait()
        (path,) = (tmp_path / "out").glob("openai*.jsonl")
        whole = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
        assert len(questions) > len(whole) >= kept
        asked_before = dict(server.asked)
        assert main(words) == 0
    played = list(read_trajectories(path))
    assert sorted(one.question_id for one in played) == sorted(question.id for question in questions)
    assert path.read_text().startswith("".join(whole))
    on_file = {json.loads(line)["question_id"] for line in whole}
    assert all(server.asked[name] == asked_before[name] for name in on_file)  # none of them was played again


def wait_for_lines(folder, count):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        lines = [line for path in folder.glob("openai*.jsonl") for line in path.read_text().splitlines()]
        if len(lines) >= count:
            return len(lines)
        time.sleep(0.02)
    raise AssertionError("nothing was played")


def test_only_a_server_elsewhere_needs_consent(site, tmp_path, capsys):
    folder, _ = site
    assert main(bench_words(folder, tmp_path / "out", "openai:https://models.example/v1#m")) == 2
    assert "not agreed to send mail to models.example" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("policy", "shown"),
    [
        ("openai:127.0.0.1:80", "no server's address"),
        ("openai:http://[::1", "no server's address"),
        ("openai:http://127.0.0.1:99999/v1", "no server's address"),
        ("openai:http://user:secret@127.0.0.1:99999/v1", "a password in an address"),
        ("openai+xml:http://127.0.0.1/v1#m", "no protocol named 'xml'"),
    ],
)
def test_a_wrong_address_gets_one_line_and_leaves_nothing(site, tmp_path, capsys, policy, shown):
    folder, _ = site
    assert main(bench_words(folder, tmp_path / "out", policy)) == 2
    error = capsys.readouterr().err
    assert shown in error
    assert "secret" not in error
    assert not (tmp_path / "out").exists()


def test_a_server_that_is_not_there_is_an_outage_of_the_upstream(site, tmp_path, capsys):
    folder, questions = site
    with live(questions) as server:
        url = server.url
    assert main(bench_words(folder, tmp_path / "out", f"openai:{url}")) == 6
    assert "the server lists no model" in capsys.readouterr().err
