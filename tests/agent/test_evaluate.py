"""The policy report counts what it says it counts."""

from __future__ import annotations

import json

import pytest

from agent.evaluate import PolicyReport, summarise
from agent.statistics import wilson
from inbox_env.actions import StopReason
from inbox_env.questions import Question
from inbox_env.trajectory import ToolResultRecord, Trajectory, Turn

SUMMARY_KEYS = {
    "name", "role", "split", "num_questions", "num_correct", "accuracy", "ci95", "found", "read", "cited",
    "mean_turns", "invalid_calls", "abstained_right", "abstained_wrong", "answered_wrong",
    "mean_turns_correct", "by_kind",
}  # fmt: skip


def ask(number: int, *, answerable=True, kind="single") -> Question:
    if not answerable:
        return Question(id=f"q{number}", inbox="i", question="How much?", answerable=False, kind="unanswerable")
    return Question(id=f"q{number}", inbox="i", question="How much?", answer="$5", message_ids=("<gold>",), kind=kind)


def play(question, answer, *, num_turns=2, stop=None, listed=(), opened=(), sources=(), num_invalid=0):
    bad = ToolResultRecord(name="", arguments=None, content="no call", is_error=True)
    good = ToolResultRecord(name="search_emails", arguments={}, content="", listed=listed, opened=opened)
    turns = [Turn(text="", results=(good,))] * (num_turns - num_invalid) + [Turn(text="", results=(bad,))] * num_invalid
    stop = stop or (StopReason.GAVE_UP if answer is None else StopReason.ANSWERED)
    return Trajectory(
        question_id=question.id, inbox="i", policy="p", question="", opening="", turns=tuple(turns), stop_reason=stop,
        answer=answer, sources=sources,
    )  # fmt: skip


QUESTIONS = [ask(0), ask(1, kind="multi"), ask(2), ask(3), ask(4, answerable=False), ask(5, answerable=False)]
PLAYS = [
    play(QUESTIONS[0], "$5", num_turns=3, listed=("<gold>",), opened=("<gold>",), sources=("<gold>",)),
    play(QUESTIONS[1], "$6", num_turns=5, listed=("<gold>",), num_invalid=2),
    play(QUESTIONS[2], None, num_turns=1),
    play(QUESTIONS[3], None, num_turns=6, stop=StopReason.MAX_TURNS),
    play(QUESTIONS[4], None, num_turns=4),
    play(QUESTIONS[5], "$5", num_turns=1),
]


def test_a_report_counts_each_episode_once():
    report = summarise("toy", "base", "dev", PLAYS, QUESTIONS)
    assert (report.num_questions, report.num_correct, report.accuracy) == (6, 2, pytest.approx(1 / 3))
    assert report.ci95 == wilson(2, 6)
    assert (report.found, report.read, report.cited) == (0.5, 0.25, 0.25)
    assert (report.mean_turns, report.mean_turns_correct) == (pytest.approx(20 / 6), 3.5)
    assert report.invalid_calls == pytest.approx(2 / 20)
    assert (report.abstained_right, report.abstained_wrong) == (0.5, 0.25)
    assert report.answered_wrong == pytest.approx(2 / 6)
    assert report.by_kind == {"multi": 0.0, "single": pytest.approx(1 / 3), "unanswerable": 0.5}


def test_the_order_of_trajectories_does_not_matter():
    assert summarise("p", "base", "dev", PLAYS[::-1], QUESTIONS) == summarise("p", "base", "dev", PLAYS, QUESTIONS)


def test_find_mode_counts_cited_mails_instead_of_answers():
    report = summarise("toy", "trained", "test", PLAYS, QUESTIONS, "find")
    assert (report.num_correct, report.answered_wrong) == (2, pytest.approx(2 / 6))
    wordless = play(QUESTIONS[0], "no idea", listed=("<gold>",), sources=("<gold>",))
    assert summarise("toy", "trained", "test", [wordless], QUESTIONS, "find").num_correct == 1
    assert summarise("toy", "trained", "test", [wordless], QUESTIONS, "answer").num_correct == 0


def test_a_report_is_plain_json_with_the_documented_keys():
    row = json.loads(summarise("toy", "oracle", "test", PLAYS, QUESTIONS).model_dump_json())
    assert set(row) == SUMMARY_KEYS
    assert PolicyReport.model_validate(row).name == "toy"
    assert all(field.description for field in PolicyReport.model_fields.values())


def test_nothing_played_gives_zeros_and_an_open_interval():
    report = summarise("toy", "base", "dev", [], QUESTIONS)
    assert (report.accuracy, report.ci95, report.mean_turns_correct) == (0.0, (0.0, 1.0), None)


def test_an_outage_is_not_correct_even_on_an_unanswerable_question():
    report = summarise("p", "base", "dev", [play(QUESTIONS[4], None, stop=StopReason.ERROR)], QUESTIONS)
    assert (report.num_correct, report.abstained_right, report.answered_wrong) == (0, 0.0, 0.0)


def test_a_trajectory_of_another_question_is_refused():
    with pytest.raises(ValueError, match="no question 'q9'"):
        summarise("p", "base", "dev", [play(ask(9), "$5")], QUESTIONS)
