"""Evaluation folders: an episode is played once, an outage is played again, and reports come from the files."""

from __future__ import annotations

import errno

import pytest

from agent.evaluation_folder import EvaluationFolder
from agent.policies.scripted import ScriptedPolicy, answer, perfect_reader, search
from inbox_env.actions import StopReason
from inbox_env.errors import CorruptError
from inbox_env.trajectory import read_trajectories
from rewards.answers import match_answer
from rewards.grader import Grader
from rewards.judge import Judge
from rewards.judge_model import ScriptedJudge
from rewards.ladder import LadderConfig, make_ladder


class Counting:
    """A scripted policy that keeps count of what it played and fails on the questions of `outage`."""

    def __init__(self, name="s", outage=(), limits=None):
        self.name, self.limits = name, limits
        self.played, self.outage = [], set(outage)
        self._policy = ScriptedPolicy(name, self._script, perfect_reader({}))

    def _script(self, opening, random):
        self.played.append(opening.question_id)
        if opening.question_id in self.outage:
            raise ConnectionError("gone")
        yield search("Room")
        yield answer(None)

    def start(self, opening):
        return self._policy.start(opening)


@pytest.fixture
def folder(arena, tmp_path):
    return EvaluationFolder(tmp_path / "evaluation", arena, "dev", "answer")


def test_a_second_play_plays_nothing_and_reports_the_same(arena, folder):
    questions = arena.questions[:6]
    policy = Counting()
    first = folder.play(policy, "base", questions)
    assert sorted(policy.played) == sorted(question.id for question in questions)
    again = Counting()
    assert folder.play(again, "base", questions) == first
    assert again.played == []
    assert first.num_questions == 6
    assert (first.name, first.role, first.split) == ("s", "base", "dev")


def test_only_missing_questions_are_played_and_none_is_forgotten(arena, folder):
    folder.play(Counting(), "base", arena.questions[:4])
    policy = Counting()
    report = folder.play(policy, "base", arena.questions[2:7])
    assert sorted(policy.played) == sorted(question.id for question in arena.questions[4:7])
    assert report.num_questions == 5
    assert set(folder.trajectories("s")) == {question.id for question in arena.questions[:7]}


def test_an_outage_counts_as_not_correct_and_is_played_again(arena, folder):
    questions = arena.questions[:4]
    lost = questions[1].id
    report = folder.play(Counting(outage=[lost]), "base", questions)
    assert report.num_questions == 4
    stops = {one.question_id: one.stop_reason for one in read_trajectories(folder.path("s"))}
    assert [question_id for question_id, stop in stops.items() if stop is StopReason.ERROR] == [lost]
    policy = Counting()
    folder.play(policy, "base", questions)
    assert policy.played == [lost]
    assert folder.trajectories("s")[lost].stop_reason is StopReason.GAVE_UP


def test_policies_are_kept_apart_and_by_the_name_they_are_given(arena, folder):
    folder.play(Counting("local:data/runs/x"), "base", arena.questions[:1])
    renamed = Counting("local:data/runs/x")
    report = folder.play(renamed, "trained", arena.questions[:1], name="trained")
    assert report.name == "trained"
    assert len(renamed.played) == 1
    assert {path.parent for path in folder.folder.iterdir()} == {folder.folder}
    assert len(list(folder.folder.iterdir())) == 2


def test_a_policy_is_played_under_the_limits_it_was_made_for(arena, folder):
    short = Counting(limits=arena.limits.model_copy(update={"max_turns": 1}))
    folder.play(short, "base", arena.questions[:2])
    stops = {one.stop_reason for one in folder.trajectories("s").values()}
    assert stops == {StopReason.MAX_TURNS}


def test_a_full_disk_loses_no_episode_that_was_on_file(arena, folder, monkeypatch):
    folder.play(Counting(), "base", arena.questions[:3])

    def refuse(path, trajectories, append=False):
        with path.open("a" if append else "w") as file:
            file.write("{")
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("agent.episode_journal.write_trajectories", refuse)
    with pytest.raises(OSError, match="No space"):
        folder.play(Counting(), "base", arena.questions[:5])
    monkeypatch.undo()
    assert len(folder.trajectories("s")) == 3
    assert [path.name for path in folder.folder.iterdir()] == ["s.jsonl"]


@pytest.mark.parametrize("content", [b'{"question_id": "q\n', b"\xff\xfe\n", b"[]\n"])
def test_a_damaged_file_is_named(arena, folder, content):
    folder.play(Counting(), "base", arena.questions[:1])
    path = folder.path("s")
    path.write_bytes(path.read_bytes() + content)
    with pytest.raises(CorruptError) as failure:
        folder.play(Counting(), "base", arena.questions[:1])
    assert str(path) in failure.value.line()


def test_what_a_killed_process_was_writing_is_played_again(arena, folder):
    folder.play(Counting(), "base", arena.questions[:3])
    path = folder.path("s")
    path.write_bytes(path.read_bytes()[:-40])
    assert len(folder.trajectories("s")) == 2
    again = Counting()
    folder.play(again, "base", arena.questions[:4])
    assert again.played == [arena.questions[2].id, arena.questions[3].id]
    assert [one.question_id for one in read_trajectories(path)] == [question.id for question in arena.questions[:4]]


def test_an_episode_is_on_file_as_soon_as_it_is_over(arena, folder):
    seen = []

    class Watching(Counting):
        def start(self, opening):
            seen.append(len(folder.trajectories("s")))
            return super().start(opening)

    folder.play(Watching(), "base", arena.questions[:5], concurrency=1)
    assert seen == [0, 1, 2, 3, 4]


def test_names_that_look_alike_as_files_are_kept_apart(folder):
    assert folder.path("local:a/b") != folder.path("local:a_b")
    assert folder.path("local_a_b") != folder.path("local:a/b")


def test_a_judge_decides_what_no_rule_does_and_is_asked_once(arena, tmp_path):
    questions = [question for question in arena.questions if question.answerable][:3]

    def script(opening, random):
        yield answer("words that no rule can weigh against the answer")

    policy = ScriptedPolicy("wordy", script, perfect_reader({}))
    model = ScriptedJudge('{"reason": "it says the same", "verdict": "right"}')
    grader = Grader(make_ladder(LadderConfig()), judge=Judge(model))
    judged = EvaluationFolder(tmp_path / "judged", arena, "dev", "answer", grader=grader)
    plain = EvaluationFolder(tmp_path / "plain", arena, "dev", "answer")
    undecided = [q for q in questions if is_undecided(plain, policy, q)]
    assert undecided
    assert judged.play(policy, "base", undecided).accuracy == 1.0
    num_asked = len(model.asked)
    assert judged.play(policy, "base", undecided).accuracy == 1.0
    assert len(model.asked) == num_asked
    assert plain.play(policy, "base", undecided).accuracy == 0.0


def is_undecided(folder, policy, question):
    folder.play(policy, "base", [question])
    return match_answer(folder.trajectories("wordy")[question.id].answer, question) is None
