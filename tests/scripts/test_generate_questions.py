"""`questions`: writes what `bench` and `train` read, prints what the questions give away."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inbox_env.questions import read_questions, write_questions
from inbox_env.store import build_inbox
from inbox_env.synthetic.generate import generate_inbox
from scripts.cli import main
from scripts.question_files import write_whole


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
        (["--inbox", "me", "--out", "absent/q.jsonl"], "no file can be written here"),
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
    lines = [line.split(": ", 1) for line in out.splitlines() if line.startswith(("me-", "you-"))]
    named = {name for name, _ in lines}
    mended = {name for name, what in lines if what.startswith("mended (")}
    assert {one.id for one in kept} == {one.id for one in before} - named | mended
    texts = {one.id: one.question for one in before}
    assert {one.id for one in kept if one.question != texts[one.id]} == mended
    assert f"{len(before) - len(named)} of {len(before)} questions have none" in out
    assert f"{len(mended)} questions mended, {len(before) - len(kept)} left out" in out
    assert main(["questions", *options[:2], "--check", str(tmp_path / "kept.jsonl")]) == 0
    assert "leaks: none" in capsys.readouterr().out


def test_fix_needs_a_file_to_check(mailbox: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["questions", "--mailbox", str(mailbox), "--fix", str(tmp_path / "x")]) == 2
    assert "--fix, --rows and --against go with --check" in capsys.readouterr().err


def test_each_question_has_a_row_of_figures(mailbox: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate(mailbox, tmp_path / "q.jsonl", "--inbox", "me", "--count", "20") == 0
    options = ["--check", str(tmp_path / "q.jsonl"), "--rows", str(tmp_path / "rows.jsonl")]
    assert main(["questions", "--mailbox", str(mailbox), *options]) == 0
    rows = {row["id"]: row for row in map(json.loads, (tmp_path / "rows.jsonl").read_text().splitlines())}
    for question in read_questions(tmp_path / "q.jsonl"):
        row = rows[question.id]
        assert row["kind"] == question.kind
        assert (row["days"] is not None and 1 <= row["days"] <= 400) if question.answerable else row["days"] is None
    named = [line.split(":")[0] for line in capsys.readouterr().out.splitlines() if line.startswith("me-known")]
    assert {name for name, row in rows.items() if row["leaks"]} == set(named)


def test_the_file_of_another_split_is_compared_with(
    mailbox: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate(mailbox, tmp_path / "q.jsonl", "--inbox", "me", "--count", "20", "--split", "test") == 0
    first = read_questions(tmp_path / "q.jsonl")[0]
    write_questions(tmp_path / "train.jsonl", [first.model_copy(update={"split": ""})])
    capsys.readouterr()
    options = ["--check", str(tmp_path / "q.jsonl"), "--against", str(tmp_path / "train.jsonl")]
    assert main(["questions", "--mailbox", str(mailbox), *options]) == 0
    out = capsys.readouterr().out
    assert f"{first.id}: split ({first.id} of train)" in out
    assert "inbox me stands in train and test" in out


def test_a_question_file_that_cannot_be_written_is_named_as_it_was_given(tmp_path: Path) -> None:
    def fail(partial: Path, _: object) -> None:
        raise PermissionError(13, "Permission denied", str(partial))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scripts.question_files.write_questions", fail)
        with pytest.raises(PermissionError) as caught:
            write_whole(tmp_path / "q.jsonl", [])
    assert caught.value.filename == str(tmp_path / "q.jsonl")


def test_an_option_out_of_range_is_said_with_what_was_given(
    mailbox: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate(mailbox, tmp_path / "q.jsonl", "--inbox", "me", "--count", "0") == 2
    assert "--count is at least 1 - --count 0 - " in capsys.readouterr().err
    assert generate(mailbox, tmp_path / "q.jsonl", "--rows", "x") == 2
    assert " - --rows - name the file to check" in capsys.readouterr().err
