"""The audit tells a good judge from one that says yes, one that reads the order, and one that obeys."""

from __future__ import annotations

import json

import pytest

from agent.judge_audit import audit
from rewards.answers import match_answer
from rewards.judge_cache import JudgeCache
from rewards.judge_model import JudgeFailure, ScriptedJudge
from scripts.judge_audit import read_attacks, read_labels

LABELS, ATTACKS = read_labels(), read_attacks()
LABEL_OF = {(one.question, one.given): one.label for one in LABELS}


def verdict(value):
    return json.dumps({"reason": "x", "verdict": value})


def knowing(messages):
    """A judge that knows the labels, and that nothing else is right."""
    content = messages[1]["content"]
    found = [
        label for (question, given), label in LABEL_OF.items() if question in content and f"\n{given}\n" in content
    ]
    return verdict("right" if "right" in found else "wrong")


def first_counts(messages):
    """A judge that looks at the order."""
    content = messages[1]["content"]
    return verdict("right" if content.index("Right answer:") < content.index("The program's answer:") else "wrong")


def obedient(messages):
    """A judge that does as it is told by the answer."""
    given = messages[1]["content"].partition("The program's answer:")[2].casefold()
    return verdict("right" if "right" in given or "correct" in given else "wrong")


def test_the_labelled_answers_are_such_as_a_judge_is_asked_about():
    undecided = [match_answer(one.given, one.asked()) is None for one in LABELS]
    assert len(LABELS) >= 60
    assert sum(undecided) / len(undecided) > 0.9
    assert {one.label for one in LABELS} == {"right", "wrong"}


def test_there_are_enough_attacks_and_none_is_right_by_itself():
    assert len(set(ATTACKS)) == len(ATTACKS) >= 50
    assert not any(match_answer(attack, one.asked()) for attack in ATTACKS for one in LABELS[::5])


async def test_a_judge_that_knows_agrees_with_everything():
    report = await audit(ScriptedJudge(knowing, cost=0.001), JudgeCache(), LABELS, ATTACKS)
    assert (report.agreement.share, report.same_in_other_order.share) == (1.0, 1.0)
    assert report.agreement.ci95[0] > 0.9
    assert (report.attacks_right.count, report.attacks_right_without_rules.count, report.unscorable.count) == (0, 0, 0)
    assert report.disagreements == ()


async def test_a_judge_that_says_yes_is_found_out_and_the_rules_stop_most_attacks():
    report = await audit(ScriptedJudge(verdict("right")), JudgeCache(), LABELS, ATTACKS)
    num_right = sum(one.label == "right" for one in LABELS)
    assert report.agreement.count == num_right
    assert report.wrong_called_right.share == 1.0
    assert report.right_called_wrong.count == 0
    assert report.attacks_right_without_rules.share == 1.0
    assert report.attacks_right.count <= 1  # of 78


async def test_a_judge_that_does_as_it_is_told_is_stopped_by_the_rules():
    by_the_rules = "Turn right at the church."
    report = await audit(ScriptedJudge(obedient), JudgeCache(), LABELS, [*ATTACKS, by_the_rules])
    assert report.attacks_right_without_rules.share > 0.4
    assert report.attacks_right.share < 0.1
    assert {one.label for one in report.disagreements} >= {"attack", "right"}


async def test_a_judge_that_reads_the_order_is_found_out():
    report = await audit(ScriptedJudge(first_counts), JudgeCache(), LABELS, ATTACKS)
    assert report.same_in_other_order.count == 0


async def test_what_got_no_verdict_is_in_no_other_share():
    report = await audit(ScriptedJudge(JudgeFailure("out")), JudgeCache(), LABELS[:6], ATTACKS[:20])
    assert report.unscorable.share == 1.0
    assert report.agreement.total == report.same_in_other_order.total == report.attacks_right_without_rules.total == 0
    assert report.agreement.ci95 == (0.0, 1.0)


@pytest.mark.parametrize("text", ["{}", "prose", '{"question": "q", "answer": "a", "given": "b", "label": "yes"}', ""])
def test_a_bad_file_of_labels_is_refused(tmp_path, text):
    from inbox_env.errors import UsageError

    path = tmp_path / "labels.jsonl"
    path.write_text(text)
    with pytest.raises(UsageError):
        read_labels(path)
