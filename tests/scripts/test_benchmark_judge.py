"""`bench --judge`: a verdict where no rule decides, kept with the episode and asked for once."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.policies.scripted import ScriptedPolicy, answer, perfect_reader, read
from inbox_env.emails import Address, Email
from inbox_env.questions import Question, write_questions
from inbox_env.store import build_inbox
from scripts.cli import main
from tests.agent.chat_server import completion, serving

ME = Address("Me Lee", "me@x.example")
GOLD = "the board turned the merger down because of the debt"
SAID = "The directors refused it, as there was too much borrowed money."


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    mail = Email("<1@x>", datetime(2001, 5, 1, tzinfo=UTC), ME, (ME,), "Merger", "No merger.")
    build_inbox(tmp_path / "m.db", "me", [mail], owner=ME)
    asked = Question(id="q", inbox="me", question="Why is there no merger?", answer=GOLD, message_ids=("<1@x>",))
    write_questions(tmp_path / "q.jsonl", [asked])

    def load(spec, gold, **_):
        def script(opening, random):
            yield read(1)
            yield answer(SAID, [1])

        return ScriptedPolicy(spec, script, perfect_reader(gold))

    monkeypatch.setattr("scripts.benchmark.load_policy", load)
    return ["bench", "--mailbox", str(tmp_path / "m.db"), "--questions", str(tmp_path / "q.jsonl"), "--out",
            str(tmp_path / "out"), "--policy", "keywords-and"]  # fmt: skip


def accuracy(out: Path) -> float:
    return float(json.loads((out / "summary.json").read_text())["policies"][0]["accuracy"])


@pytest.mark.parametrize(("verdict", "expected"), [("right", 1.0), ("wrong", 0.0)])
def test_a_judge_decides_what_no_rule_decides_and_is_asked_once(
    words, tmp_path, monkeypatch, verdict, expected
) -> None:
    assert main(words) == 0
    assert accuracy(tmp_path / "out") == 0  # undecided counts as not right
    with serving(completion(text=json.dumps({"reason": "same", "verdict": verdict}))) as server:
        monkeypatch.setenv("MAILSLEUTH_API_BASE", server.url)
        assert main([*words, "--judge", "openai/m"]) == 0
        assert accuracy(tmp_path / "out") == expected
        assert main([*words, "--judge", "openai/m"]) == 0
        assert len(server.requests) == 1
    assert main(words) == 0
    assert accuracy(tmp_path / "out") == expected  # the verdict is on file with the episode


def test_a_judge_elsewhere_needs_consent(words, tmp_path, capsys) -> None:
    assert main([*words, "--judge", "openai/m"]) == 2
    assert "judge" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
