"""Playing a step ahead: one step behind the weights and never more, deterministic, and nobody left running."""

from __future__ import annotations

import asyncio
import threading
import time
from copy import deepcopy

import pytest
from pydantic import ValidationError

from agent.grpo.groups import Group
from agent.grpo.metrics import read_metrics
from agent.grpo.prefetch import Batch, Prefetch, is_fresh, overlap
from agent.grpo.trainer import GrpoTrainer
from inbox_env.trajectory import read_trajectories
from tests.agent.grpo.test_trainer import Stopped, spread
from tests.agent.grpo.torchrun import together
from tests.agent.remote import lora, plain, wide_model
from tests.agent.tiny import make_config
from tests.agent.vllm_server import TinyVllm, serving


async def nothing():
    return []


def test_both_run_at_once_and_give_their_results():
    threads = []

    async def play():
        threads.append(threading.current_thread())
        await asyncio.sleep(0.2)
        return ["played"]

    def work():
        threads.append(threading.current_thread())
        time.sleep(0.2)
        return "trained"

    started = time.monotonic()
    assert overlap(play(), work) == (["played"], "trained")
    assert time.monotonic() - started < 0.39
    assert threads[0] is threading.main_thread()
    assert threads[1] is not threading.main_thread()


@pytest.mark.parametrize("culprit", ["play", "work"])
def test_a_failure_of_one_ends_both(culprit):
    ended = []

    async def play():
        try:
            await asyncio.sleep(0 if culprit == "play" else 30)
            raise Stopped("play")
        except asyncio.CancelledError:
            ended.append("play")
            raise

    def work():
        time.sleep(0.05)
        ended.append("work")
        if culprit == "work":
            raise Stopped("work")

    started = time.monotonic()
    with pytest.raises(Stopped, match=culprit):
        overlap(play(), work)
    assert time.monotonic() - started < 5
    assert "work" in ended
    assert culprit == "play" or "play" in ended


def test_groups_that_are_too_old_are_dropped_and_counted():
    old = Batch((Group(None, (), ()),) * 3, policy_version=1)
    assert [is_fresh(old, version, 1) for version in (0, 1, 2, 3)] == [False, True, True, False]
    prefetch = Prefetch(1)
    prefetch._ahead = old
    assert prefetch.take(nothing, 3) == Batch((), 3)
    assert prefetch.num_dropped == 3
    prefetch._ahead = old
    assert prefetch.take(nothing, 2) is old
    assert (prefetch.num_dropped, prefetch.is_ahead) == (0, False)


def test_without_staleness_nothing_is_played_ahead():
    prefetch = Prefetch(0)
    assert prefetch.train(lambda: "trained", pytest.fail, 0) == "trained"
    assert not prefetch.is_ahead


def test_a_model_in_this_process_cannot_sample_while_it_trains(tmp_path):
    with pytest.raises(ValidationError, match="max_staleness needs"):
        make_config(tmp_path, grpo={"max_staleness": 1})


def train_alone(peers, folder, arena, chat, url):
    """Train a step ahead in one of several processes, on a server that is there already."""
    config = make_config(folder, grpo={"steps": 3, "max_staleness": 1}, sampling={"engine": "vllm", "servers": [url]})
    trainer = GrpoTrainer(config, lora(wide_model(), folder / f"base{peers.rank}"), chat, arena, arena, folder, peers)
    trainer.grader.reward_fn = spread
    trainer.train()


def train(folder, arena, chat, tokenizer, *, max_staleness=1, stop_after=None, resumes=False, steps=4):
    """Train a few steps over HTTP; returns the trainer."""
    folder.mkdir(parents=True, exist_ok=True)
    model = lora(wide_model(), folder / "base")
    tiny = TinyVllm(deepcopy(plain(model)), tokenizer)
    with serving(tiny) as url:
        grpo = {"steps": steps, "max_staleness": max_staleness}
        config = make_config(folder, grpo=grpo, sampling={"engine": "vllm", "servers": [url]})
        trainer = GrpoTrainer(config, model, chat, arena, arena, folder)
        trainer.grader.reward_fn = spread
        if resumes:
            assert trainer.resume()

        def stop(row):
            if row["step"] == stop_after:
                raise Stopped

        try:
            trainer.train(stop)
        except Stopped:
            assert stop_after
        finally:
            trainer.engine.close()
    return trainer


def questions(folder):
    paths = sorted((folder / "trajectories").iterdir())
    return [[trajectory.question_id for trajectory in read_trajectories(path)] for path in paths]


def texts(folder):
    paths = sorted((folder / "trajectories").iterdir())
    return [[turn.text for trajectory in read_trajectories(path) for turn in trajectory.turns] for path in paths]


@pytest.mark.slow
def test_rollouts_are_one_step_old_from_the_second_step_on_and_the_run_is_deterministic(
    tmp_path, arena, chat, tokenizer
):
    for name in ("one", "two"):
        train(tmp_path / name, arena, chat, tokenizer)
    train(tmp_path / "now", arena, chat, tokenizer, max_staleness=0)
    rows = list(read_metrics(tmp_path / "one" / "metrics.jsonl"))
    assert [row["staleness"] for row in rows] == [0, 1, 1, 1]
    assert [row["stale_groups"] for row in rows] == [0] * 4
    assert "staleness" not in next(iter(read_metrics(tmp_path / "now" / "metrics.jsonl")))
    assert texts(tmp_path / "one") == texts(tmp_path / "two")
    assert questions(tmp_path / "one") == questions(tmp_path / "now"), "the same questions in the same order"
    assert texts(tmp_path / "one")[0] == texts(tmp_path / "now")[0]
    assert texts(tmp_path / "one")[3] != texts(tmp_path / "now")[3]


@pytest.mark.slow
def test_an_interrupted_run_asks_the_questions_again_that_were_played_ahead(tmp_path, arena, chat, tokenizer):
    train(tmp_path / "whole", arena, chat, tokenizer)
    train(tmp_path / "cut", arena, chat, tokenizer, stop_after=3)
    (tmp_path / "cut" / "sampler" / "policy-killed-000003").mkdir(parents=True)
    again = train(tmp_path / "cut", arena, chat, tokenizer, resumes=True)
    assert again.step == 4
    assert not list((tmp_path / "cut" / "sampler").iterdir()), "what a kill left is gone, and what was published too"
    assert questions(tmp_path / "cut") == questions(tmp_path / "whole")


@pytest.mark.slow
def test_two_processes_play_ahead_together_and_only_one_brings_the_weights(tmp_path, arena, chat, tokenizer):
    train(tmp_path / "one", arena, chat, tokenizer, steps=3)
    (tmp_path / "two").mkdir()
    tiny = TinyVllm(plain(wide_model()), tokenizer)
    with serving(tiny) as url:
        together(train_alone, tmp_path / "two", arena, chat, url)
    assert tiny.paths.count("/v1/load_lora_adapter") == 4
    assert [row["staleness"] for row in read_metrics(tmp_path / "two" / "metrics.jsonl")] == [0, 1, 1]
    assert questions(tmp_path / "two") == questions(tmp_path / "one")
    assert texts(tmp_path / "two") == texts(tmp_path / "one")
