"""Files of trajectories as rows: read once, read on as they grow, and nothing that is wrong with them stays unsaid."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from agent.token_records import TokenRecord, read_token_records, write_token_records
from inbox_env.actions import StopReason
from inbox_env.errors import CorruptError, UsageError
from inbox_env.questions import Question, write_questions
from inbox_env.trajectory import Trajectory, write_trajectories
from rewards.ladder import LadderConfig
from scripts.playground.run_index import TrajectoryFile, number_groups
from scripts.playground.run_source import Source


def episode(question: str = "q1", reward: float | None = 1.0, answer: str | None = "yes") -> Trajectory:
    return Trajectory(
        question_id=question,
        inbox="me",
        policy="trainee",
        question=f"What of {question}?",
        opening="",
        turns=(),
        stop_reason=StopReason.ANSWERED if answer else StopReason.GAVE_UP,
        answer=answer,
        reward=reward,
        reward_parts={} if reward is None else {"right" if reward > 0 else "wrong": reward},
    )


def index(path: Path, question: Question | None = None) -> TrajectoryFile:
    return TrajectoryFile(path, path.name, None, lambda *_: question, LadderConfig())


def line(one: Trajectory) -> str:
    return one.model_dump_json() + "\n"


def test_every_row_leads_back_to_its_own_trajectory(tmp_path):
    path = tmp_path / "some.jsonl"
    played = [episode(f"q{number}", answer="é" * number or None) for number in range(5)]
    write_trajectories(path, played)
    file = index(path)
    file.refresh()
    assert [file.read(row) for row in file.rows] == played
    assert [row.line for row in file.rows] == [1, 2, 3, 4, 5]


def test_a_growing_file_is_read_on_and_a_torn_line_waits_until_it_is_whole(tmp_path):
    path = tmp_path / "some.jsonl"
    whole = line(episode("q2"))
    path.write_text(line(episode("q1")) + whole[:40], encoding="utf-8")
    file = index(path)
    assert file.refresh()
    assert [row.question_id for row in file.rows] == ["q1"]
    assert file.is_torn
    assert file.num_bad == 0
    assert not file.refresh(), "nothing has changed"
    with path.open("a", encoding="utf-8") as more:
        more.write(whole[40:] + line(episode("q3")))
    assert file.refresh()
    assert [row.question_id for row in file.rows] == ["q1", "q2", "q3"]
    assert not file.is_torn
    assert file.read(file.rows[2]) == episode("q3")


@pytest.mark.parametrize("is_renamed", [True, False])
def test_a_file_that_was_written_anew_is_read_anew(tmp_path, is_renamed):
    path = tmp_path / "some.jsonl"
    write_trajectories(path, [episode("q1"), episode("q2")])
    file = index(path)
    file.refresh()
    target = tmp_path / "beside" if is_renamed else path
    write_trajectories(target, [episode("q3", answer="a longer answer than there was before"), episode("q4")])
    target.replace(path)
    os.utime(path, (1, 1))
    assert file.refresh()
    assert [row.question_id for row in file.rows] == ["q3", "q4"]


def test_what_is_no_trajectory_is_counted_and_named(tmp_path):
    path = tmp_path / "some.jsonl"
    bad = ["{not json\n", json.dumps({"question_id": "q"}) + "\n", "\n", "\x00\xff\n"]
    path.write_text(line(episode("q1")) + "".join(bad) + line(episode("q2")), encoding="utf-8")
    source = Source(path)
    source.refresh()
    assert [row.question_id for row in source.rows()] == ["q1", "q2"]
    (file,) = source.files()
    assert file.num_bad == 3
    assert [number for number, _ in file.bad] == [2, 3, 5]
    (note,) = [note for note in source.notes() if "no trajectory" in note]
    assert note.startswith("some.jsonl: 3 lines are no trajectory and left out (line 2: ")


def test_a_row_whose_file_was_changed_behind_it_says_so(tmp_path):
    path = tmp_path / "some.jsonl"
    write_trajectories(path, [episode("q1")])
    file = index(path)
    file.refresh()
    path.write_text("gone\n", encoding="utf-8")
    with pytest.raises(CorruptError, match="was changed"):
        file.read(file.rows[0])


def test_the_outcome_is_what_was_recorded_or_what_the_label_says_or_unknown(tmp_path):
    path = tmp_path / "some.jsonl"
    label = Question(id="q1", inbox="me", question="?", answer="yes", message_ids=("m",))
    failed = episode("q3", None).model_copy(update={"stop_reason": StopReason.ERROR})
    write_trajectories(path, [episode("q1", -1.0), episode("q2", None), failed])
    labelled, unlabelled = index(path, label), index(path)
    for file in (labelled, unlabelled):
        file.refresh()
    assert [row.outcome for row in labelled.rows] == ["wrong", "right", "unscorable"]
    assert [row.outcome for row in unlabelled.rows] == ["wrong", "", "unscorable"]


def test_a_label_is_that_of_the_words_that_were_asked(tmp_path):
    path = tmp_path / "some.jsonl"
    write_trajectories(path, [episode("q1", None), episode("q2", None)])
    asked = tmp_path / "asked.jsonl"
    other = {"inbox": "me", "answer": "yes", "message_ids": ("m",)}
    words = {"q1": "What of q1?", "q2": "Something else?"}
    write_questions(asked, [Question(id=name, question=text, **other) for name, text in words.items()])
    source = Source(path, questions=[asked])
    source.refresh()
    assert [(row.kind, row.outcome) for row in source.rows()] == [("single", "right"), ("", "")]


def test_groups_are_runs_of_one_question_and_never_larger_than_training_made_them(tmp_path):
    path = tmp_path / "some.jsonl"
    write_trajectories(path, [episode(name) for name in "aabbbb"])
    file = index(path)
    file.refresh()
    groups = list(number_groups(file.rows, 2))
    assert [[row.question_id for row in group] for group in groups] == [["a", "a"], ["b", "b"], ["b", "b"]]
    assert [row.group for row in file.rows] == [0, 0, 1, 1, 2, 2]


def test_advantages_of_a_run_are_those_that_its_configuration_trains_with(tmp_path):
    run = tmp_path / "run"
    (run / "trajectories").mkdir(parents=True)
    grpo = {"group_size": 3, "advantage_scale": "std", "baseline": "mean"}
    (run / "config.json").write_text(json.dumps({"grpo": grpo}), encoding="utf-8")
    rewards = [1.0, -1.0, None, 0.5, 0.5, 0.5]
    played = [episode("ab"[place // 3], reward) for place, reward in enumerate(rewards)]
    write_trajectories(run / "trajectories" / "step-000007.jsonl", played)
    source = Source(run)
    source.refresh()
    assert [row.advantage for row in source.rows()] == [1.0, -1.0, None, 0.0, 0.0, 0.0]
    assert {row.step for row in source.rows()} == {7}


def test_what_holds_no_trajectories_is_refused_with_a_next_step(tmp_path):
    (tmp_path / "notes.jsonl").write_text("{}\n", encoding="utf-8")
    with pytest.raises(UsageError, match="no trajectories here"):
        Source(tmp_path)
    with pytest.raises(UsageError, match="no such run or file"):
        Source(tmp_path / "missing")


def test_an_old_line_without_its_end_is_not_said_to_be_in_writing(tmp_path):
    path = tmp_path / "torn.jsonl"
    write_trajectories(path, [episode("a"), episode("b")])
    path.write_bytes(b"{broken\n" + path.read_bytes()[:-9])
    source = Source(path)
    source.refresh()
    assert "still being written" in " ".join(source.notes())
    os.utime(path, (0, 0))
    assert "was cut off: its episode is left out" in " ".join(source.notes())
    assert "not found" not in " ".join(source.notes()), "no mailbox was looked for"


def test_odd_configurations_hide_nothing(tmp_path):
    run = tmp_path / "run"
    (run / "trajectories").mkdir(parents=True)
    write_trajectories(run / "trajectories" / "step-000001.jsonl", [episode("a"), episode("a", -1.0)])
    for config in ("[]", "{", json.dumps({"grpo": "x", "reward": {"wrong": 9}, "data": {"synthetic": {"train": 1}}})):
        (run / "config.json").write_text(config, encoding="utf-8")
        source = Source(run)
        source.refresh()
        assert len(source.rows()) == 2


def test_token_records_come_back_and_what_is_torn_is_passed_over(tmp_path):
    path = tmp_path / "tokens" / "step-000001.jsonl"
    numbers = dict.fromkeys(("sampled", "logprobs", "old_logprobs", "advantages"), (-0.5,))
    record = TokenRecord(line=1, question_id="q", tokens=("a", "é"), mask=(0, 1), **numbers)
    write_token_records(path, [record])
    with path.open("a", encoding="utf-8") as file:
        file.write('{"line": 2')
    assert list(read_token_records(path)) == [record]
    assert list(read_token_records(tmp_path / "none.jsonl")) == []


def test_who_asks_while_a_file_is_read_sees_it_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "some.jsonl"
    write_trajectories(path, [episode("a"), episode("a", -1.0)])
    source = Source(path)
    seen = []
    weigh = Source._weigh

    def watched(self, file):
        seen.extend(source.rows())
        weigh(self, file)

    monkeypatch.setattr(Source, "_weigh", watched)
    source.refresh()
    assert seen == []
    assert [row.group for row in source.rows()] == [0, 0]
