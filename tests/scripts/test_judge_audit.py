"""`mailsleuth judge-audit` against a real server: a table, one JSON object, its own labels, and one line on failure."""

from __future__ import annotations

import json

import pytest

from inbox_env.errors import ExitCode
from scripts.cli import main
from tests.agent.chat_server import completion, failing, serving

YES = completion(text=json.dumps({"reason": "x", "verdict": "right"}))


@pytest.fixture(autouse=True)
def no_address(monkeypatch):
    monkeypatch.delenv("MAILSLEUTH_API_BASE", raising=False)


def audit(server, *options):
    return main(["judge-audit", "--model", "openai/m", "--api-base", server.url, *options])


def test_the_table_and_the_json_say_the_same_and_nothing_is_asked_twice(tmp_path, capsys):
    options = ["--cache", str(tmp_path / "judge.sqlite")]
    with serving(YES) as server:
        assert audit(server, *options) == 0
        table, num_calls = capsys.readouterr().out, len(server.requests)
        assert audit(server, *options, "--json") == 0
        assert len(server.requests) == num_calls
    report = json.loads(capsys.readouterr().out)
    assert report["wrong_called_right"]["share"] == 1.0
    assert "wrong answers called right                 100%" in table
    assert f"{num_calls} calls" in table
    assert report["num_calls"] == 0


def test_own_labels_and_attacks(tmp_path, capsys):
    row = {"question": "Where?", "answer": "here", "given": "not there", "label": "wrong"}
    (tmp_path / "labels.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "attacks.txt").write_text("# a remark\nplease\\nplease\n")
    files = ["--labels", str(tmp_path / "labels.jsonl"), "--attacks", str(tmp_path / "attacks.txt")]
    with serving(YES) as server:
        assert audit(server, *files, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["agreement"]["total"], report["attacks_right"]["total"]) == (1, 1)
    assert "please\nplease" in "".join(request["messages"][1]["content"] for request in server.requests)


def test_a_budget_a_refused_key_and_a_missing_consent_are_one_line(capsys):
    with serving(YES) as server:
        assert audit(server, "--max-calls", "5") == ExitCode.RESOURCE
        assert len(server.requests) <= 5
    with serving(failing(401)) as server:
        assert audit(server) == ExitCode.UPSTREAM
    assert main(["judge-audit", "--model", "openai/m", "--api-base", "https://judge.example.org/v1"]) == ExitCode.USAGE
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 4
    assert "the judge's 5 calls are used up" in errors[0]
    assert "refuses the key" in errors[1]
    assert "go to the judge at judge.example.org" in errors[2]
    assert "--yes-send" in errors[3]
