"""Suites: what they ask, where from, and what is refused; several sources and several seeds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.evaluate import PolicyReport
from inbox_env.errors import UsageError
from inbox_env.questions import write_questions
from inbox_env.store import build_inbox
from inbox_env.synthetic import generate_inbox
from scripts.benchmark_suites import Source, Suite, load_suite, open_sources
from scripts.benchmark_summary import BenchRow, Comparison
from scripts.cli import main

FOLDER = Path(__file__).resolve().parents[2] / "scripts" / "configs" / "suites"
SHIPPED = sorted(path.stem for path in FOLDER.glob("*.toml"))


def make_source(folder: Path, name: str, seed: int) -> str:
    inbox = generate_inbox("train", seed, num_emails=100, num_questions=12)
    build_inbox(folder / f"{name}.db", inbox.name, inbox.emails, owner=inbox.owner)
    write_questions(folder / f"{name}.jsonl", inbox.questions)
    return f"""[[source]]\nkind = "files"\nmailbox = "{folder / name}.db"\nquestions = "{folder / name}.jsonl"\n"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """Two mailboxes of one inbox each."""
    path = tmp_path / "two.toml"
    head = 'title = "Two"\npolicies = ["keywords-and", "demonstrator"]\nbaseline = "demonstrator"\n'
    path.write_text(head + make_source(tmp_path, "a", 1) + make_source(tmp_path, "b", 2))
    return path


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_suites_are_read_and_documented(name: str) -> None:
    assert load_suite(name).title
    assert f"`{name}`" in (FOLDER / "README.md").read_text()


def test_every_key_and_figure_is_documented() -> None:
    text = (FOLDER / "README.md").read_text()
    own = set(BenchRow.model_fields) - set(PolicyReport.model_fields)
    names = {*Suite.model_fields, *own, *Comparison.model_fields} - {"source", "policy"}
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []
    assert [name for name in Source.model_fields if f"`source.{name}`" not in text] == []


def test_a_suite_joins_its_sources_and_names_its_policies(suite: Path, tmp_path: Path) -> None:
    assert main(["bench", "--suite", str(suite), "--out", str(tmp_path / "out")]) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [row["name"] for row in summary["policies"]] == ["keywords-and", "demonstrator"]
    assert summary["questions"]["inboxes"] == ["train-001", "train-002"]
    assert summary["questions"]["count"] == 24
    assert summary["comparisons"][0]["baseline"] == "demonstrator"
    assert summary["published"] == []


def test_a_limit_is_spread_over_all_sources(suite: Path) -> None:
    arena, mailboxes, sources = open_sources(load_suite(str(suite)), None, (), limit=7)
    assert len(arena.questions) == 7
    assert {question.inbox for question in arena.questions} == {"train-001", "train-002"}
    assert len(mailboxes) == 2
    assert {sources[question.id] for question in arena.questions} == {"a", "b"}


def test_several_seeds_are_played_apart_and_counted_together(suite: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = [
        "bench",
        "--suite",
        str(suite),
        "--out",
        str(out),
        "--seeds",
        "3",
        "--policy",
        "oracle",
        "--policy",
        "demonstrator",
    ]
    assert main(words) == 0
    assert {path.name for path in out.glob("demonstrator*.jsonl")} > {"demonstrator.jsonl"}
    assert len(list(out.glob("demonstrator*.jsonl"))) == 3
    rows = {row["name"]: row for row in json.loads((out / "summary.json").read_text())["policies"]}
    assert rows["oracle"]["num_seeds"] == 1  # draws nothing: playing it again would say nothing
    shown = rows["demonstrator"]
    assert (shown["num_seeds"], shown["num_questions"]) == (3, 24)
    assert shown["pass_at"]["1"] == pytest.approx(shown["accuracy"])
    assert shown["pass_at"]["1"] <= shown["pass_at"]["2"] <= shown["pass_at"]["3"]
    grades = [json.loads(line) for line in (out / "grades.jsonl").read_text().splitlines()]
    assert shown["num_correct"] == sum(one["is_right"] for one in grades if one["policy"] == "demonstrator")
    right = {one["question"] for one in grades if one["policy"] == "demonstrator" and one["is_right"]}
    assert shown["pass_at"]["3"] == pytest.approx(len(right) / 24)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("title = 'x'", "source"),
        ("title = 'x'\nkind = 3\n[[source]]\nkind = 'given'", "kind"),
        ("title = 'x'\n[[source]]\nkind = 'files'", "mailbox and questions go with"),
        ("title = ", "not TOML"),
    ],
)
def test_a_wrong_suite_is_refused_by_key(tmp_path: Path, text: str, shown: str) -> None:
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(UsageError, match=shown):
        load_suite(str(tmp_path / "s.toml"))


def test_an_unknown_suite_and_one_without_mail_say_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "--suite", "none", "--out", str(tmp_path / "o")]) == 2
    assert "arte-compat" in capsys.readouterr().err
    assert main(["bench", "--suite", "enron", "--out", str(tmp_path / "o")]) == 2
    assert "add --mailbox FILE --questions FILE" in capsys.readouterr().err


def test_two_sources_with_one_inbox_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text('title = "x"\n' + make_source(tmp_path, "a", 1) + make_source(tmp_path, "b", 1))
    with pytest.raises(UsageError, match="inbox"):
        open_sources(load_suite(str(path)), None, ())


def test_every_source_is_reported_alone_beside_the_whole(suite: Path, tmp_path: Path) -> None:
    assert main(["bench", "--suite", str(suite), "--out", str(tmp_path / "out")]) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    whole = {row["name"]: row for row in summary["policies"]}
    assert [part["source"] for part in summary["sources"]] == ["a", "b"]
    grades = [json.loads(line) for line in (tmp_path / "out" / "grades.jsonl").read_text().splitlines()]
    for part, inbox in zip(summary["sources"], ("train-001", "train-002"), strict=True):
        assert part["num_questions"] == 12
        for row in part["policies"]:
            right = [one["is_right"] for one in grades if one["policy"] == row["name"] and one["inbox"] == inbox]
            assert (row["num_questions"], row["num_correct"]) == (12, sum(right))
    for name, row in whole.items():
        parts = [one for part in summary["sources"] for one in part["policies"] if one["name"] == name]
        assert sum(one["num_correct"] for one in parts) == row["num_correct"]
    assert "| a: 12 questions | right |" in (tmp_path / "out" / "report.md").read_text()
    assert "By source of the questions" in (tmp_path / "out" / "report.html").read_text()


def test_question_files_given_together_are_sources_of_their_own_beside_invented_mail(tmp_path: Path) -> None:
    both = generate_inbox("train", 1, num_emails=100, num_questions=12)
    build_inbox(tmp_path / "m.db", both.name, both.emails, owner=both.owner)
    for name, some in (("early", both.questions[:6]), ("late", both.questions[6:])):
        write_questions(tmp_path / f"{name}.jsonl", some)
    invented = make_source(tmp_path, "c", 2) + 'limit = 5\nname = "other"\n'
    (tmp_path / "s.toml").write_text(f'title = "x"\n{invented}[[source]]\nkind = "given"\n')
    words = ["bench", "--suite", str(tmp_path / "s.toml"), "--mailbox", str(tmp_path / "m.db"), "--policy", "oracle"]
    words += [word for name in ("early", "late") for word in ("--questions", str(tmp_path / f"{name}.jsonl"))]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    asked = {part["source"]: part["num_questions"] for part in summary["sources"]}
    assert asked == {"other": 5, "early": 6, "late": 6}
