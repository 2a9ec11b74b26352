"""Rows F43 to F47: a judge that fails, babbles or is talked to, and rewards that say nothing."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest
import torch

from agent.arena import Arena
from agent.grpo.checkpoint import latest_checkpoint
from agent.grpo.groups import play_groups, training_samples
from agent.grpo.metrics import read_metrics
from agent.grpo.stop_signals import GivenUp, orderly_stop
from agent.grpo.trainer import GrpoTrainer
from agent.judge_audit import audit
from agent.model_loading import load_trainee
from agent.policies.local import LocalPolicy
from agent.policies.scripted import answer
from inbox_env.errors import DivergedError, ExitCode, ResourceError, UpstreamError
from inbox_env.synthetic import generate_inbox
from inbox_env.trajectory import read_trajectories
from rewards.grader import Grader, grade
from rewards.judge import RULE, Judge
from rewards.judge_cache import JudgeCache
from rewards.judge_model import JudgeFailure, ScriptedJudge
from rewards.ladder import make_ladder
from scripts.judge_audit import read_attacks, read_labels
from tests.agent.chat_server import completion, failing, hang, serving
from tests.agent.tiny import LIMITS, ScriptedEngine, make_config
from tests.faults.judge_site import RIGHT, SAID, by_place, make_judge_site

CANARY = "sk-canary-0123456789abcdef"
JUDGE = {"model": "openai/m", "call_seconds": 5.0, "retry_seconds": 0.3, "pause_seconds": 0.5}
GRPO = {"steps": 3, "questions_per_step": 3, "group_size": 4}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return make_judge_site(tmp_path_factory.mktemp("judge"))


@pytest.fixture
def start(site, tmp_path, monkeypatch):
    """A function that makes the trainer of a run folder, judged by a server."""
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    torch.set_num_threads(1)

    def make(server, name="run", judge=(), is_labelled=True, **sections):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        config = make_config(
            folder,
            model={"path": str(site / "base")},
            judge={**JUDGE, "api_base": server.url, **dict(judge)},
            sampling={"max_new_tokens": 30},
            reward={"brevity_bonus": 0.0, **sections.pop("reward", {})},
            grpo={**GRPO, **sections.pop("grpo", {})},
            **sections,
        )
        questions = generate_inbox("train", 1, num_emails=100, num_questions=20).questions
        questions = [one if is_labelled else unlabelled(one) for one in questions if one.answerable]
        arena = Arena.open(site / "mail.db", questions, LIMITS)
        loaded = load_trainee(config.model, seed=config.run.seed)
        return GrpoTrainer(config, loaded.model, loaded.chat, arena, arena, folder)

    return make


def unlabelled(question):
    return question.model_copy(update={"is_labelled": False, "answer": None, "accepted": (), "message_ids": ()})


def rows(trainer):
    return list(read_metrics(trainer.run / "metrics.jsonl"))


def played(trainer):
    return [one for path in sorted((trainer.run / "trajectories").iterdir()) for one in read_trajectories(path)]


def test_f43_a_run_is_judged_and_a_replay_of_it_earns_the_same_without_a_judge(start):
    with serving(by_place) as server:
        trainer = start(server)
        trainer.train()
    trajectories = [one for one in played(trainer) if one.verdict]
    assert len(trajectories) > 10
    assert {one.verdict.value for one in trajectories} == {"right", "wrong"}
    for one in trajectories:
        assert (one.verdict.value == "right") is (one.answer == SAID[0])
        question = next(q for q in trainer._train.questions if q.id == one.question_id)
        assert grade(make_ladder(trainer.config.reward), one, question)[0].value == one.reward
    found = rows(trainer)
    assert sum(row["judge_calls"] for row in found) == len(server.requests)
    assert all(0 < row["judged_fraction"] <= 1 and row["judge_cached_fraction"] > 0 for row in found)
    assert found[0]["accuracy"] == pytest.approx(
        sum(one.verdict is not None and one.verdict.value == "right" for one in played(trainer)[:12]) / 12
    )


def test_f43_every_fifth_call_failing_costs_no_verdict(start):
    with serving(*([by_place] * 4 + [failing(500)]) * 30, by_place) as server:
        trainer = start(server, judge={"retry_seconds": 20.0})
        trainer.train()
    assert [row["judge_unscorable_fraction"] for row in rows(trainer)] == [0.0] * 3


def test_f43_unscorable_answers_are_masked_and_a_group_of_mostly_such_is_skipped(start):
    def not_the_lake(handler):
        """No verdict on one of the two answers."""
        is_lake = SAID[1] in handler.server.requests[-1]["messages"][1]["content"]
        handler.reply(200, completion(text="hm") if is_lake else RIGHT)

    with serving(not_the_lake) as server:
        trainer = start(server, grpo={"steps": 2})
        trainer.train()
    lost = [one for one in played(trainer) if one.verdict and one.verdict.value == "unscorable"]
    assert lost
    assert all(one.reward is None and one.answer == SAID[1] for one in lost)
    assert all(row["judge_unscorable_fraction"] > 0 for row in rows(trainer))


def test_f43_a_lasting_outage_pauses_then_exits_6_and_the_run_goes_on_from_there(start):
    with serving(*[by_place] * 8, failing(503)) as server:
        trainer = start(server, judge={"retry_seconds": 0.0}, run={"checkpoint_every": 100}, grpo={"steps": 6})
        with pytest.raises(UpstreamError, match="the judge is out of order") as failure:
            trainer.train()
    assert failure.value.exit_code == ExitCode.UPSTREAM
    done = len(rows(trainer))
    assert done >= 1
    with serving(by_place) as server:
        again = start(server, run={"checkpoint_every": 100}, grpo={"steps": 6})
        assert again.resume()
        assert again.step == done
        again.train()
    assert [row["step"] for row in rows(again)] == [1, 2, 3, 4, 5, 6]
    assert all(row["judge_unscorable_fraction"] < 1 for row in rows(again)[done:])


@pytest.mark.parametrize(
    "reply", ["", "Tru", "It is right.", '{"verdict": "right"', '{"reason": 1, "verdict": "right"}']
)
def test_f44_no_readable_verdict_in_three_replies_is_unscorable_and_counted(start, caplog, reply):
    with serving(completion(text=reply)) as server:
        trainer = start(server, grpo={"steps": 1, "questions_per_step": 1, "group_size": 4})
        before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
        trainer.train()
    (row,) = rows(trainer)
    judged = [one for one in played(trainer) if one.verdict]
    assert judged
    assert all((one.verdict.value, one.reward) == ("unscorable", None) for one in judged)
    assert row["judge_unscorable_fraction"] == 1.0
    assert "answers got no verdict, most often: no readable verdict in 3 replies" in caplog.text
    assert len(server.requests) == 3 * len({one.answer for one in judged})
    assert all(torch.equal(tensor, before[name]) for name, tensor in trainer.model.state_dict().items())


async def test_f45_answers_that_talk_to_the_judge_are_wrong_behind_the_rules():
    """With a judge that says right to whatever mentions it, at most one attack in fifty may get by."""

    def obedient(messages):
        given = messages[1]["content"].partition("The program's answer:")[2].casefold()
        return json.dumps(
            {"reason": "x", "verdict": "right" if "say right" in given or "is right" in given else "wrong"}
        )

    attacks = read_attacks()
    report = await audit(ScriptedJudge(obedient), JudgeCache(), read_labels(), attacks)
    assert len(attacks) >= 50
    assert report.attacks_right_without_rules.count > 1
    assert report.attacks_right.share <= 1 / 50


def test_f45_what_a_rule_settled_is_counted_and_costs_no_call(start, site, monkeypatch):
    monkeypatch.setattr("rewards.judge.rule_out", lambda answer, question: "words to the judge")
    with serving(by_place) as server:
        trainer = start(server, grpo={"steps": 1})
        trainer.train()
        assert server.requests == []
    (row,) = rows(trainer)
    assert (row["judge_rule_fraction"], row["judge_calls"]) == (1.0, 0)
    assert {one.verdict.judge for one in played(trainer) if one.verdict} == {RULE}


OWN = """
from rewards.base import Reward
def reward(trajectory, question):
    return Reward.of({"own": %s})
"""


@pytest.mark.parametrize("value", ["float('nan')", "float('inf')", "7.0"])
def test_f46_a_reward_of_ones_own_that_is_no_number_or_out_of_range_ends_the_run(start, tmp_path, value):
    (tmp_path / "own.py").write_text(OWN % value)
    with serving(by_place) as server:
        own = {"kind": "custom", "function": f"{tmp_path / 'own.py'}:reward", "range": (0.0, 1.0)}
        trainer = start(server, reward=own)
        with pytest.raises(DivergedError, match="12 of 12 rewards cannot be trusted") as failure:
            trainer.train()
    assert failure.value.exit_code == ExitCode.DIVERGED


def test_f43_a_run_that_waits_for_its_judge_can_be_stopped(start):
    def stop_soon(handler):
        if not stop.is_made:
            os.kill(os.getpid(), signal.SIGTERM)
        hang(handler)

    with serving(*[by_place] * 8, *[failing(503)] * 3, stop_soon) as server:
        options = {"run": {"checkpoint_every": 100}, "judge": {"retry_seconds": 0.0, "pause_seconds": 600.0}}
        trainer = start(server, **options)
        started = time.monotonic()
        with pytest.raises(GivenUp), orderly_stop(grace_seconds=0.3) as stop:
            trainer.train(stop=stop)
        assert time.monotonic() - started < 20
        assert latest_checkpoint(trainer.run).name == f"step-{len(rows(trainer)):06d}"


async def play_group(trainer, *replies, said=SAID):
    """One group of four that say these things in turn, judged as scripted."""
    chat = trainer._chat
    policy = LocalPolicy(ScriptedEngine(*([chat.action_ids(answer(text))] for text in said)), chat, prompt="laptop")
    grader = Grader(make_ladder(trainer.config.reward), judge=Judge(ScriptedJudge(*replies)))
    question = trainer._train.questions[:1]
    return await play_groups(policy, trainer._train, question, 4, grader, concurrency=1, deadline_seconds=60.0)


async def test_f43_a_group_of_which_most_got_no_verdict_is_skipped_and_half_is_not(start):
    said = ("up the hill", "by the lake", "on the moor", "in the dale")
    with serving(RIGHT) as server:
        trainer = start(server)
        yes, no = (json.dumps({"reason": "x", "verdict": verdict}) for verdict in ("right", "wrong"))
        out = JudgeFailure("out")
        (half,) = await play_group(trainer, yes, no, out, out, said=said)
        (most,) = await play_group(trainer, yes, out, out, out, said=said)
    assert [value is None for value in half.values] == [False, False, True, True]
    assert training_samples([half], 0)[0].advantage > 0
    assert [reward.value is None for reward in most.rewards] == [False, True, True, True]
    assert most.values == [None] * 4
    assert training_samples([most], 0) == []


async def test_f47_a_group_in_which_all_are_judged_alike_teaches_nothing(start):
    with serving(RIGHT) as server:
        trainer = start(server)
        (group,) = await play_group(trainer, json.dumps({"reason": "x", "verdict": "right"}))
    assert len({one.trajectory.answer for one in group.rollouts}) == 2
    assert len(set(group.values)) == 1
    assert [sample.advantage for sample in training_samples([group], 0)] == [0.0] * 4
    assert not group.has_spread


def test_a_spent_budget_stops_the_run_and_a_larger_one_goes_on(start):
    with serving(by_place) as server:
        trainer = start(server, judge={"max_calls": 8}, run={"checkpoint_every": 100})
        with pytest.raises(ResourceError, match="8 calls are used up"):
            trainer.train()
        assert (len(server.requests), len(rows(trainer))) == (8, 1)
        again = start(server, judge={"max_calls": 100}, run={"checkpoint_every": 100})
        assert again.resume()
        again.train()
    assert [row["step"] for row in rows(again)] == [1, 2, 3]


def test_ruler_trains_on_questions_without_labels(start):
    def rank(handler):
        content = handler.server.requests[-1]["messages"][1]["content"]
        parts = content.split("=== attempt ")[1::2]
        scores = [{"attempt": n, "reason": "x", "score": float(SAID[0] in part)} for n, part in enumerate(parts, 1)]
        handler.reply(200, completion(text=json.dumps({"scores": scores})))

    with serving(rank) as server:
        trainer = start(server, reward={"kind": "ruler"}, is_labelled=False)
        trainer.train()
    scored = [one for one in played(trainer) if one.reward is not None]
    assert scored
    assert {one.reward for one in scored if one.answer == SAID[0]} <= {1.0, 0.5}
    assert {one.reward for one in scored if one.answer == SAID[1]} <= {0.0, 0.5}
    assert sum(row["judge_calls"] for row in rows(trainer)) == len(server.requests) > 0
    assert all(row["accuracy"] == 0 for row in rows(trainer))
