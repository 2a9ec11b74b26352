"""`bench`: policies side by side on the same questions, resumed, and scored from the episodes on file."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from agent.policies.demonstrator import oracle
from inbox_env.emails import Address, Email
from inbox_env.questions import Question, write_questions
from inbox_env.store import build_inbox
from scripts.cli import main

ME, ANN, BOB = (Address(f"{name} Lee", f"{name.lower()}@x.example") for name in ("Me", "Ann", "Bob"))


def mail(number: int, sender: Address, subject: str, body: str) -> Email:
    return Email(f"<{number}@x>", datetime(2001, 5, number, tzinfo=UTC), sender, (ME,), subject, body)


@pytest.fixture
def mailbox(tmp_path: Path) -> Path:
    path = tmp_path / "my.db"
    falcon = mail(2, ANN, "Falcon budget", "The Falcon budget is 40,000.")
    build_inbox(path, "me", [mail(1, ANN, "Lunch", "Lunch on Friday?"), falcon], owner=ME)
    build_inbox(path, "you", [mail(1, BOB, "Heron", "Heron opens in room 12."), mail(3, BOB, "Old", "Heron")], owner=ME)
    return path


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    day = date(2001, 5, 20)
    rows = [
        Question(id="1", inbox="me", question="How large is the Falcon budget?", answer="40,000",
                 message_ids=("<2@x>",), asked_on=day),
        Question(id="2", inbox="me", question="What did Ann pay for the Osprey?", answerable=False,
                 kind="unanswerable", asked_on=day),
        Question(id="3", inbox="you", question="Where does Heron open its doors?", answer="room 12",
                 message_ids=("<1@x>",), asked_on=day),
    ]  # fmt: skip
    write_questions(tmp_path / "q.jsonl", rows)
    return tmp_path / "q.jsonl"


def bench(mailbox: Path, questions: Path, out: Path, *options: str) -> int:
    return main(["bench", "--mailbox", str(mailbox), "--questions", str(questions), "--out", str(out), *options])


def summary(out: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return loaded


BOTH = ("--policy", "keywords-and", "--policy", "oracle")


def test_policies_are_scored_compared_and_written(
    mailbox: Path, questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert bench(mailbox, questions, out, *BOTH) == 0
    shown = capsys.readouterr().out
    assert "oracle" in shown
    assert "unreachable: none" in shown
    found = summary(out)
    rows = {row["name"]: row for row in found["policies"]}
    # "large" is in no mail and "doors" neither: AND-ing finds nothing, which is right for the unanswerable one alone
    assert (rows["keywords-and"]["num_correct"], rows["oracle"]["num_correct"]) == (1, 3)
    assert rows["oracle"]["role"] == "oracle"
    assert rows["oracle"]["ci95_inbox"] == [1.0, 1.0]
    assert rows["keywords-and"]["ci95_inbox"] == [0.0, 0.5]  # inbox "me": 1 of 2, inbox "you": 0 of 1
    assert 0 <= rows["oracle"]["seconds_median"] <= rows["oracle"]["seconds_p95"]
    (comparison,) = found["comparisons"]
    assert (comparison["policy"], comparison["baseline"]) == ("oracle", "keywords-and")
    assert (comparison["only_policy"], comparison["only_baseline"]) == (2, 0)
    assert comparison["p_value"] == comparison["p_holm"] == 0.5
    assert found["questions"]["count"] == 3
    assert found["questions"]["unreachable"]["ids"] == []
    assert set(found["versions"]) == {"python", "mailsleuth"}
    assert "| oracle | 100 % |" in (out / "report.md").read_text()


def test_a_second_run_plays_nothing_and_a_new_policy_only_itself(
    mailbox: Path, questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agent import evaluation_folder

    played: list[str] = []
    rollout_many = evaluation_folder.rollout_many

    async def counted(policy: Any, envs: Any, **options: Any) -> Any:
        played.extend(f"{policy.name} {env.question.id}" for env in envs)
        return await rollout_many(policy, envs, **options)

    monkeypatch.setattr(evaluation_folder, "rollout_many", counted)
    out = tmp_path / "out"
    assert bench(mailbox, questions, out, "--policy", "keywords-and", "--limit", "1") == 0
    assert played == ["keywords-and 1"]
    assert bench(mailbox, questions, out, "--policy", "keywords-and") == 0
    assert played[1:] == ["keywords-and 2", "keywords-and 3"]
    first = summary(out)
    assert bench(mailbox, questions, out, "--policy", "keywords-and") == 0
    assert played[3:] == []
    assert summary(out) == first
    assert bench(mailbox, questions, out, *BOTH) == 0
    assert played[3:] == ["oracle 1", "oracle 2", "oracle 3"]


def test_the_baseline_is_chosen_and_json_is_the_summary(
    mailbox: Path, questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [*BOTH, "--baseline", "oracle", "--inbox", "me", "--mode", "find", "--json"]
    assert bench(mailbox, questions, tmp_path / "out", *options) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == summary(tmp_path / "out")
    assert printed["questions"]["count"] == 2
    assert printed["questions"]["inboxes"] == ["me"]
    assert [one["baseline"] for one in printed["comparisons"]] == ["oracle"]


def test_unreachable_questions_are_named_and_still_scored(
    mailbox: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def asked(name: str, day: int, *ids: str, **more: Any) -> Question:
        return Question(id=name, inbox="you", question=f"Heron {name}?", answer="12", message_ids=ids,
                        asked_on=date(2001, 5, day), **more)  # fmt: skip

    rows = [
        asked("gone", 20, "<9@x>"),
        asked("later", 2, "<3@x>"),
        asked("a copy is there", 20, "<9@x>", "<1@x>"),
        asked("half is missing", 20, "<9@x>", "<1@x>", kind="multi"),
        asked("fine", 2, "<1@x>"),
    ]
    write_questions(tmp_path / "u.jsonl", rows)
    assert bench(mailbox, tmp_path / "u.jsonl", tmp_path / "out", "--policy", "oracle") == 0
    expected = {"missing": 2, "later": 1, "ids": ["gone", "later", "half is missing"]}
    found = summary(tmp_path / "out")
    assert found["questions"]["unreachable"] == expected
    assert found["policies"][0]["num_questions"] == 5
    assert "unreachable: 3 (2 with a gold mail that is not in the mailbox" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (["--policy", "no-such"], "no policy named 'no-such'"),
        (["--policy", "oracle", "--baseline", "keywords-and"], "the baseline 'keywords-and' is not played"),
        (["--policy", "oracle", "--inbox", "nobody"], "no questions about 'nobody'"),
        (["--policy", "oracle", "--limit", "0"], "--limit is at least 1"),
        (["--policy", "oracle", "--concurrency", "0"], "--concurrency is at least 1"),
        (["--policy", "oracle", "--deadline", "0"], "no number of seconds above 0"),
        (["--policy", "oracle", "--fail-on-error", "10"], "a share from 0 to 1"),
        (["--policy", "api:gpt"], "no model named by 'api:gpt'"),
        (["--policy", "oracle", "--questions", "absent.jsonl"], "no such question file"),
        (["--policy", "oracle", "--mailbox", "absent.db"], "no such mailbox file"),
        (["--policy", "local:absent"], "no model here"),
        ([], "--policy"),
    ],
)
def test_wrong_use_gets_one_line_and_leaves_nothing(
    mailbox: Path,
    questions: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    shown: str,
) -> None:
    assert bench(mailbox, questions, tmp_path / "out", *options) == 2
    error = capsys.readouterr().err
    assert shown in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_inbox_that_the_mailbox_lacks_is_one_line_and_can_be_left_out(
    mailbox: Path, questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strange = Question(id="9", inbox="them", question="?", answer="x", message_ids=("<1@x>",))
    with questions.open("a") as file:
        file.write(strange.model_dump_json() + "\n")
    assert bench(mailbox, questions, tmp_path / "out", "--policy", "oracle") == 2
    error = capsys.readouterr().err
    assert "no mail for questions about: them" in error
    assert "--inbox me" in error
    assert bench(mailbox, questions, tmp_path / "out", "--policy", "oracle", "--inbox", "me", "--inbox", "you") == 0


def test_episodes_of_other_settings_or_questions_are_never_mixed_in(
    mailbox: Path, questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert bench(mailbox, questions, out, *BOTH) == 0
    before = summary(out)
    other = questions.with_name("other.db")
    other.write_bytes(mailbox.read_bytes())
    assert bench(other, questions, out, *BOTH) == 2
    assert "another setting: mailbox" in capsys.readouterr().err
    changed = Question(id="1", inbox="me", question="Who is Ann?", answer="x", message_ids=("<1@x>",))
    write_questions(questions, [changed])
    assert bench(mailbox, questions, out, *BOTH) == 2
    assert "other questions with the same ids" in capsys.readouterr().err
    assert summary(out) == before
    write_questions(questions, [changed, changed])
    assert bench(mailbox, questions, tmp_path / "new", *BOTH) == 2
    assert "two questions have the id '1'" in capsys.readouterr().err


def test_a_model_that_was_trained_again_is_not_taken_for_the_one_that_played(
    mailbox: Path,
    questions: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    weights = tmp_path / "run" / "model" / "model.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"old")
    monkeypatch.setattr("scripts.benchmark.load_policy", lambda spec, gold, **_: oracle(gold))
    policy = ("--policy", f"local:{tmp_path / 'run'}")
    assert bench(mailbox, questions, tmp_path / "out", *policy) == 0
    assert summary(tmp_path / "out")["policies"][0]["role"] == "trained"
    assert bench(mailbox, questions, tmp_path / "out", *policy) == 0
    weights.write_bytes(b"newer")
    assert bench(mailbox, questions, tmp_path / "out", *policy) == 2
    assert "another setting: weights of local:" in capsys.readouterr().err
