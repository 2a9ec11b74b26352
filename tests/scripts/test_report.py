"""The report: complete, self-contained, safe to open, and honest about what is missing."""

from __future__ import annotations

import io
import json
import math
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from agent.evaluate import PolicyReport
from agent.statistics import wilson
from inbox_env.actions import StopReason
from inbox_env.errors import UsageError
from inbox_env.trajectory import ToolResultRecord, Trajectory, Turn
from scripts.cli import main
from scripts.report import policies_table, write_report
from scripts.report_svg import Chart, bar_svg, chart_svg, percent, smooth, ticks
from scripts.report_views import headline, in_order
from scripts.run_folder import Summary, read_run_folder

HOSTILE = "<script>alert(1)</script> \"' & ```` \u202e \x1b]0;x\x07 [x](http://evil.example) |"
VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """Checks that every element is closed and gathers tags, attributes and text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts = [], set(), [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def policy(name, role, num_correct, split="test", num_questions=200):
    return PolicyReport(
        name=name, role=role, split=split, num_questions=num_questions, num_correct=num_correct,
        accuracy=num_correct / num_questions, ci95=wilson(num_correct, num_questions), found=0.5, read=0.5, cited=0.5,
        mean_turns=3.0, mean_turns_correct=3.0, invalid_calls=0.01, abstained_right=0.5, abstained_wrong=0.1,
        answered_wrong=0.2, by_kind={"single": 0.5},
    )  # fmt: skip


def play(answer, text=HOSTILE):
    search = ToolResultRecord(name="search_emails", arguments={"keywords": [text]}, content=text, listed=("<1>",))
    broken = ToolResultRecord(name="invalid_call", arguments=None, content=text, is_error=True)
    long = ToolResultRecord(name="read_email", arguments={"id": 1}, content="first\n" * 40, opened=("<1>",))
    return Trajectory(
        question_id="q", inbox="i", policy="p", question=text, opening="", answer=answer,
        turns=(Turn(text="", results=(search, broken, long)), Turn(text=text, results=())),
        stop_reason=StopReason.ANSWERED if answer else StopReason.MAX_TURNS, reward=1.0, reward_parts={"right": 1.0},
    )  # fmt: skip


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / HOSTILE.replace("/", "").replace("\x1b", "").replace("\x07", "")
    folder.mkdir()
    policies = [policy("base", "base", 60), policy(HOSTILE, "trained", 140), policy("all words", "baseline", 10)]
    summary = {
        "policies": [row.model_dump(mode="json") for row in policies],
        "train": {
            "steps": 3,
            "seconds": 90.0,
            "generated_tokens": 10,
            "trained_tokens": 20,
            "peak_rss_mb": 900,
            "seed": 7,
        },
        "versions": {"python": HOSTILE},
    }
    (folder / "summary.json").write_text(json.dumps(summary))
    rows = [
        {"step": step, "reward_mean": step / 3, "accuracy": 0.1 * step, "num_turns_mean": 3.0, "invalid_rate": 0.0,
         "abstain_rate": None if step == 2 else 0.2, **({"eval_accuracy": 0.3} if step == 3 else {})}
        for step in (1, 2, 3)
    ]  # fmt: skip
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    sample = {"question_id": "q", "before": play(None).model_dump(), "after": play(HOSTILE).model_dump()}
    (folder / "samples.jsonl").write_text(f"{json.dumps(sample)}\n" * 6)
    (folder / "config.json").write_text(json.dumps({"grpo": {"lr": 0.001, "loss": HOSTILE}}))
    return folder


def test_a_report_shows_headline_policies_curves_samples_and_configuration(run):
    write_report(run)
    page = Page((run / "report.html").read_text())
    text = " ".join(" ".join(page.texts).split())
    for shown in ("30 %", "70 %", "+40 points", "do not overlap", "all words", "1.5 minutes", "grpo.lr", "0.001"):
        assert shown in text
    labels = [value for name, value in page.attributes if name == "aria-label"]
    assert {"Held-out questions right", "Reward of training rollouts", "Turns with an invalid call"} <= set(labels)
    assert text.count("Before") == text.count("After") == 5
    markdown = (run / "report.md").read_text()
    for shown in ("**30 % → 70 %**", "| all words | baseline |", "### ", "grpo"):
        assert shown in markdown


def test_a_page_needs_no_script_and_no_network(run):
    write_report(run)
    html = (run / "report.html").read_text()
    page = Page(html)
    assert page.tags.isdisjoint({"script", "link", "img", "iframe", "object", "base", "form", "a"})
    names = {name for name, _ in page.attributes}
    assert not {name for name in names if name.startswith("on")} | names & {"src", "href", "xlink:href", "action"}
    style = html.split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    assert ("http-equiv", "Content-Security-Policy") in page.attributes


def test_hostile_text_stays_text(run):
    write_report(run)
    html, markdown = (run / "report.html").read_text(), (run / "report.md").read_text()
    assert "&lt;script&gt;" in html
    for text in (html, markdown):
        assert "\u202e" not in text
        assert "\x1b" not in text
    outside = "\n".join(line for line in _unfenced(markdown))
    assert not re.search(r"(?<!\\)<|(?<!\\)\]\(", outside)
    rows = [line for line in outside.splitlines() if line.startswith("|") and "baseline" in line]
    assert len(rows) == 1


def _unfenced(markdown):
    fence = None
    for line in markdown.splitlines():
        if fence is None and line.startswith("```"):
            fence = line.removesuffix("text")
        elif fence is not None and line == fence:
            fence = None
        elif fence is None:
            yield line
    assert fence is None


def test_a_run_without_curves_samples_or_base_still_gets_its_report(tmp_path):
    summary = {"policies": [policy("only", "baseline", 5).model_dump(mode="json")]}
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    write_report(tmp_path)
    text = " ".join(Page((tmp_path / "report.html").read_text()).texts)
    assert "not measured" in text
    assert "points" not in text
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("summary.json", None, "has no summary"),
        ("summary.json", "{", "not a JSON file"),
        ("summary.json", '{"policies": [{}]}', "not a summary"),
        ("samples.jsonl", "{}\n", "not a sample"),
    ],
)
def test_a_damaged_run_is_one_clear_error(run, name, content, message):
    (run / name).unlink()
    if content is not None:
        (run / name).write_text(content)
    with pytest.raises(UsageError, match=message):
        write_report(run)


def test_the_command_writes_both_reports_and_prints_the_table(run, capsys):
    assert main(["report", str(run)]) == 0
    assert "all words" in capsys.readouterr().out
    assert (run / "report.md").is_file()


def test_the_table_fits_a_terminal_and_marks_the_trained_policy(run):
    out = io.StringIO()
    console = Console(file=out, width=80, color_system=None)
    console.print(policies_table(read_run_folder(run).summary))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert "70 %" in out.getvalue()
    assert "\u202e" not in out.getvalue()


def test_the_headline_is_of_the_last_split_that_has_base_and_trained():
    rows = [policy("b", "base", 20, "dev"), policy("t", "trained", 30, "dev"), policy("b", "base", 25, "test")]
    assert headline(rows).after.split == "dev"
    both = [*rows, policy("t", "trained", 75, "test")]
    assert (headline(both).after.split, headline(both).points) == ("test", 25.0)
    assert headline(rows[2:]) is None
    assert [row.num_correct for row in in_order(both)] == [30, 20, 75, 25]


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_few_round_and_cover_the_values(low, span):
    marks = ticks(low, low + span)
    assert 2 <= len(marks) <= 7
    slack = 1e-6 * (abs(low) + span)
    assert marks[0] <= low + slack
    assert marks[-1] >= low + span - slack


points = st.lists(st.tuples(st.integers(1, 500), st.floats(-1e3, 1e3)), max_size=60)


@given(points, points, st.sampled_from([None, 0.4]), st.booleans())
def test_a_chart_is_well_formed_and_stays_inside_its_frame(line, dots, level, is_share):
    svg = ElementTree.fromstring(chart_svg(Chart('<b> & "x"', sorted(line), sorted(dots), level, is_share)))
    for circle in svg.iter("circle"):
        assert 0 <= float(circle.get("cx")) <= 360
        assert 0 <= float(circle.get("cy")) <= 190
    assert len(list(svg.iter("circle"))) == len(dots)


@given(st.floats(0, 1))
def test_a_bar_is_as_long_as_its_share(share):
    svg = ElementTree.fromstring(bar_svg(share, 0.0, 1.0, "base"))
    track, fill = svg.findall("rect")
    assert math.isclose(float(fill.get("width")), share * float(track.get("width")), abs_tol=0.06)


def test_smoothing_averages_over_the_last_points():
    assert smooth([(1, 0.0), (2, 1.0), (3, 2.0)], 2) == [(1, 0.0), (2, 0.5), (3, 1.5)]


def test_small_shares_keep_a_digit():
    assert [percent(share) for share in (0, 0.004, 0.0999, 0.5, 1)] == ["0 %", "0.4 %", "10 %", "50 %", "100 %"]


def test_a_long_name_is_broken_where_it_has_a_joint_and_abstaining_is_said_to_be_right():
    summary = Summary(policies=[policy("keywords-and+base", "baseline", 1), policy("a" * 20, "base", 1)], versions={})
    out = Console(file=io.StringIO(), width=80)
    out.print(policies_table(summary))
    lines = [line.strip() for line in out.file.getvalue().splitlines()]
    assert any(line.startswith("keywords-and+ ") for line in lines)
    assert "base" in lines
    assert any(line.startswith("rightly") for line in lines[:2])
    assert max(map(len, lines)) <= 80
