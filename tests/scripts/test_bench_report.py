"""The benchmark's page: hostile text stays text, nothing is loaded, and every figure is counted from named records."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from agent.policies.scripted import ScriptedPolicy, answer, perfect_reader, read, search
from inbox_env.actions import StopReason
from inbox_env.emails import Address, Email
from inbox_env.questions import Question, write_questions
from inbox_env.store import build_inbox
from inbox_env.trajectory import ToolResultRecord, Trajectory, Turn
from rewards.facts import derive_facts
from rewards.ladder import LadderConfig, classify
from scripts.bench_report_plots import Dot, scatter_svg
from scripts.bench_report_views import seconds_text, short_name
from scripts.benchmark_grades import error_kind
from scripts.cli import main

EVIL = """</script><script>alert(1)</script><img src=http://evil.example/x onerror=alert(2)>
=HYPERLINK("http://evil.example") ![](http://evil.example) | `x` {{ 7*7 }} \x1b]52;c;aGk=\x07
<style>@import url(//evil.example)"""
ME, ANN = Address("Me <b>Lee</b>", "me@x.example"), Address("Ann", "ann@x.example")


class Tags(HTMLParser):
    """Every tag with its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished comparison over mail, questions and answers that are all hostile."""
    mails = [
        Email(f"<{day}@x>", datetime(2001, 5, day, tzinfo=UTC), ANN, (ME,), f"Falcon {EVIL}", f"Falcon {EVIL}")
        for day in (1, 2)
    ]
    build_inbox(tmp_path / "m.db", "me", mails, owner=ME)
    ids = ['a"><b>', "b", "c"]
    questions = [
        Question(id=name, inbox="me", question=f"Falcon {name} {EVIL}", answer=f"{EVIL} {name}", message_ids=("<1@x>",),
                 asked_on=date(2001, 6, 1))
        for name in ids
    ]  # fmt: skip
    write_questions(tmp_path / "q.jsonl", questions)

    def load(spec, gold, **_):
        def script(opening, random):
            yield search("Falcon")
            yield read(1)
            is_right = spec == "oracle" or opening.question_id == "b"
            yield answer(gold[opening.question_id].answer if is_right else EVIL, [1])

        return ScriptedPolicy(spec, script, perfect_reader(gold))

    monkeypatch.setattr("scripts.benchmark.load_policy", load)
    words = ["bench", "--mailbox", str(tmp_path / "m.db"), "--questions", str(tmp_path / "q.jsonl"), "--out",
             str(tmp_path / "out"), "--policy", "keywords-and", "--policy", "local:<i>x</i>"]  # fmt: skip
    assert main(words) == 0
    return tmp_path / "out"


def test_f64_hostile_text_stays_text_and_nothing_is_loaded(out: Path) -> None:
    page = (out / "report.html").read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(page)
    names = {tag for tag, _ in tags.found}
    assert names.isdisjoint({"script", "img", "link", "iframe", "object", "b>", "i"})
    for tag, attributes in tags.found:
        assert not [name for name in attributes if name.startswith("on")], tag
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith("#")
    assert "url(" not in re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]  # type: ignore[index]
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in page
    assert "default-src 'none'" in page
    assert "\x1b" not in page
    assert "{{ 7*7 }}" in page


def test_f64_markdown_keeps_its_tables(out: Path) -> None:
    lines = (out / "report.md").read_text(encoding="utf-8").splitlines()
    (head,) = [line for line in lines if line.startswith("| policy | right")]
    rows = [line for line in lines if line.startswith(("| keywords-and |", "| local:&lt;i>x&lt;/i> |"))]
    assert len(re.findall(r"(?<!\\)\|", rows[0])) == len(re.findall(r"\|", head))
    assert "<i>" not in "".join(lines)


def test_every_figure_is_counted_from_records_that_are_named(out: Path) -> None:
    summary = json.loads((out / "summary.json").read_text())
    grades = [json.loads(line) for line in (out / "grades.jsonl").read_text().splitlines()]
    assert len({(one["policy"], one["seed"], one["question"]) for one in grades}) == len(grades) == 6
    for one in grades:
        record = json.loads((out / one["file"]).read_text().splitlines()[one["line"] - 1])
        assert record["question_id"] == one["question"]
    for row in summary["policies"]:
        mine = [one for one in grades if one["policy"] == row["name"]]
        assert row["num_correct"] == sum(one["is_right"] for one in mine)
        assert sum(row["errors"].values()) == sum(not one["is_right"] for one in mine)
    page = (out / "report.html").read_text(encoding="utf-8")
    for number, policy in enumerate(dict.fromkeys(one["policy"] for one in grades), 1):
        for one in (one for one in grades if one["policy"] == policy):
            assert f'id="{number}.{one["question"]}"'.replace('a"><b>', "a&#34;&gt;&lt;b&gt;") in page


QUESTION = Question(id="q", inbox="i", question="?", answer="$5", message_ids=("<gold>",))
NOTHING = Question(id="n", inbox="i", question="?", answerable=False, kind="unanswerable")


@pytest.mark.parametrize(
    ("question", "said", "listed", "opened", "stop", "kind"),
    [
        (QUESTION, "$6", ("<a>",), ("<a>",), StopReason.ANSWERED, "not found"),
        (QUESTION, "$6", ("<gold>",), ("<a>",), StopReason.ANSWERED, "found, not read"),
        (QUESTION, "$6", ("<gold>",), ("<gold>",), StopReason.ANSWERED, "read, but wrong"),
        (QUESTION, "$6", ("<gold>",), (), StopReason.ANSWERED, "hallucinated"),
        (NOTHING, "$6", ("<a>",), ("<a>",), StopReason.ANSWERED, "hallucinated"),
        (QUESTION, None, ("<gold>",), ("<gold>",), StopReason.GAVE_UP, "gave up"),
        (QUESTION, None, (), (), StopReason.MAX_TURNS, "gave up"),
        (QUESTION, None, (), (), StopReason.ERROR, "outage"),
    ],
)
def test_what_went_wrong_has_one_name(question, said, listed, opened, stop, kind) -> None:
    result = ToolResultRecord(name="search_emails", arguments={}, content="", listed=listed, opened=opened)
    play = Trajectory(question_id="q", inbox="i", policy="p", question="?", opening="", answer=said, stop_reason=stop,
                      turns=(Turn(text="", results=(result,)),))  # fmt: skip
    outcome = classify(play, question, LadderConfig())
    assert error_kind(play, question, derive_facts(play, question), outcome) == kind


def test_a_plot_places_better_higher_and_slower_to_the_right_and_escapes() -> None:
    dots = [Dot("<a>", 0.01, 0.9, 0.8, 1.0, "trained"), Dot("b", 10.0, 0.2, 0.1, 0.3, "base")]
    drawn = scatter_svg(dots, "seconds", seconds_text)
    places = [(float(x), float(y)) for x, y in re.findall(r'class="dot" cx="([\d.]+)" cy="([\d.]+)"', drawn)]
    assert places[0][0] < places[1][0]
    assert places[0][1] < places[1][1]
    assert "<a>" not in drawn
    assert "&lt;a&gt;" in drawn
    assert "not measured" in scatter_svg([], "seconds", seconds_text)


def test_a_model_is_called_by_its_folder() -> None:
    assert short_name("local:data/runs/laptop") == "laptop"
    assert short_name("keywords-and+local:data/base") == "keywords-and+base"
    assert short_name("oracle") == "oracle"


def test_two_policies_of_no_common_training_are_set_against_each_other_and_not_before_and_after(out: Path) -> None:
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "before training" not in page
    assert "→" not in page
    assert '<span class="role">model</span>' in page
    assert '<span class="against">against</span><span class="before">' in page
