"""`questions`: writes what `bench` and `train` read, prints what the questions give away."""

from __future__ import annotations

from pathlib import Path

import pytest

from inbox_env.questions import read_questions
from inbox_env.store import build_inbox
from inbox_env.synthetic.generate import generate_inbox
from scripts.cli import main


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mail") / "my.db"
    for seed, name in ((1, "me"), (2, "you")):
        invented = generate_inbox("dev", seed, num_emails=200, num_questions=1)
        build_inbox(path, name, invented.emails, owner=invented.owner)
    return path


def generate(mailbox: Path, out: Path, *options: str) -> int:
    return main(["questions", "--mailbox", str(mailbox), "--out", str(out), *options])


def test_questions_are_written_and_their_leaks_printed(
    mailbox: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--inbox", "me", "--inbox", "you", "--count", "20", "--split", "train"]
    assert generate(mailbox, tmp_path / "q.jsonl", *options) == 0
    out = capsys.readouterr().out
    questions = read_questions(tmp_path / "q.jsonl")
    assert [sum(one.inbox == name for one in questions) for name in ("me", "you")] == [20, 20]
    assert {one.split for one in questions} == {"train"}
    assert out.startswith("40 questions: ")
    assert "found by AND-ing all content words of the question: " in out
    assert generate(mailbox, tmp_path / "again.jsonl", *options) == 0
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "q.jsonl").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.jsonl", "q.jsonl"]


def test_an_inbox_that_gives_fewer_says_so(mailbox: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate(mailbox, tmp_path / "q.jsonl", "--inbox", "me", "--count", "5000") == 0
    number = len(read_questions(tmp_path / "q.jsonl"))
    assert f"me: its mail gives {number:,} questions, not 5,000" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (["--inbox", "nobody"], "no inbox 'nobody'"),
        (["--inbox", "me", "--count", "0"], "--count is at least 1"),
        (["--inbox", "me", "--mailbox", "absent.db"], "no such mailbox file"),
        (["--inbox", "me", "--out", "absent/q.jsonl"], "cannot write questions here"),
        ([], "--inbox"),
    ],
)
def test_wrong_use_gets_one_line(
    mailbox: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], shown: str
) -> None:
    assert generate(mailbox, tmp_path / "q.jsonl", *options) == 2
    error = capsys.readouterr().err
    assert shown in error
    assert error.count("\n") == 1
    assert not (tmp_path / "q.jsonl").exists()


def test_a_file_is_checked_and_what_leaks_is_named_and_left_out(
    mailbox: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate(mailbox, tmp_path / "q.jsonl", "--inbox", "me", "--inbox", "you", "--count", "30") == 0
    capsys.readouterr()
    options = ["--mailbox", str(mailbox), "--check", str(tmp_path / "q.jsonl")]
    assert main(["questions", *options, "--fix", str(tmp_path / "kept.jsonl")]) == 0
    out = capsys.readouterr().out
    before, kept = (read_questions(tmp_path / name) for name in ("q.jsonl", "kept.jsonl"))
    named = {line.split(":")[0] for line in out.splitlines() if line.startswith(("me-", "you-"))}
    assert named == {one.id for one in before} - {one.id for one in kept}
    assert f"{len(kept)} of {len(before)} questions have none" in out
    assert main(["questions", *options[:2], "--check", str(tmp_path / "kept.jsonl")]) == 0
    assert "leaks: none" in capsys.readouterr().out


def test_fix_needs_a_file_to_check(mailbox: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["questions", "--mailbox", str(mailbox), "--fix", str(tmp_path / "x")]) == 2
    assert "--fix goes with --check" in capsys.readouterr().err
