"""Killed, torn, full, changed, stopped, out of memory: a run loses nothing that was whole, and goes on exactly."""

from __future__ import annotations

import errno
import json
import logging
import multiprocessing
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from agent.grpo.checkpoint import latest_checkpoint
from agent.grpo.stop_signals import GRACE_SECONDS, GivenUp, orderly_stop
from inbox_env.errors import CorruptError, ExitCode, ResourceError
from tests.faults.killed_run import STEPS, by_letters, make_trainer, train
from tests.faults.run_site import make_site, names, rows, weights_hash


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return make_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def start():
    """Start a process of `train`; all are forked from one that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.killed_run"])

    def run(*arguments):
        process = context.Process(target=train, args=arguments, daemon=True)
        process.start()
        return process

    return run


@pytest.mark.parametrize("places", [(2, 6, 7), pytest.param(range(1, 13), marks=pytest.mark.slow)], ids=["few", "all"])
def test_f48_a_kill_at_any_point_of_a_save_costs_nothing(site, start, tmp_path, places):
    """Every file that a save puts on disk, its folder and the rename are a place to die."""
    make_trainer(site, tmp_path / "whole").train()
    run = tmp_path / "killed"
    for place in places:
        process = start(site, run, 0, place)
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
    again = make_trainer(site, run)
    again.resume()
    again.train()
    assert weights_hash(run) == weights_hash(tmp_path / "whole")
    assert rows(run) == rows(tmp_path / "whole")
    assert names(run) == [f"step-{STEPS - 1:06d}", f"step-{STEPS:06d}"]


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 4])
def test_f48_kills_at_random_times_cost_nothing(site, start, tmp_path, rank):
    start(site, tmp_path / "whole", rank).join()
    run, stream, num_kills = tmp_path / "killed", random.Random(rank), 0
    while num_kills < 15:
        process = start(site, run, rank)
        process.join(stream.uniform(0.05, 2.5))
        if process.exitcode is None:
            os.kill(process.pid, signal.SIGKILL)
            num_kills += 1
        elif num_kills < 15:  # done too soon: begin anew
            assert weights_hash(run) == weights_hash(tmp_path / "whole")
            shutil.rmtree(run)
        process.join()
    start(site, run, rank).join()
    assert weights_hash(run) == weights_hash(tmp_path / "whole")
    assert rows(run) == rows(tmp_path / "whole")


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("rank", [0, 4])
def test_f49_a_torn_checkpoint_is_named_and_the_one_before_goes_on(site, tmp_path, caplog, rank):
    whole = make_trainer(site, tmp_path / "run", model={"lora_rank": rank}, grpo={"steps": 3})
    whole.train()
    wanted = weights_hash(tmp_path / "run")
    for name in sorted(path.name for path in latest_checkpoint(tmp_path / "run").iterdir()):
        for number, damage in enumerate((cut, flip, Path.unlink)):
            run = tmp_path / f"{name}-{number}"
            shutil.copytree(tmp_path / "run", run)
            damage(run / "checkpoints" / "step-000003" / name)
            caplog.clear()
            with caplog.at_level(logging.WARNING):
                assert latest_checkpoint(run).name == "step-000002"
            assert "step-000003" in caplog.text
    again = make_trainer(site, run, model={"lora_rank": rank}, grpo={"steps": 3})
    assert again.resume()
    again.train()
    assert weights_hash(run) == wanted


def test_f49_without_any_whole_checkpoint_the_run_does_not_begin_anew(site, tmp_path):
    make_trainer(site, tmp_path, grpo={"steps": 2}).train()
    for path in (tmp_path / "checkpoints").iterdir():
        flip(path / "optimizer.safetensors")
    with pytest.raises(CorruptError, match="step-000002, step-000001") as failure:
        make_trainer(site, tmp_path).resume()
    assert failure.value.exit_code == ExitCode.CORRUPT


@pytest.fixture
def fill_disk(monkeypatch):
    """Let the disk be full for the checkpoints of these steps; none: it has room again."""
    sync = os.fsync

    def fill(*steps):
        def full(descriptor):
            if any(f"step-{step:06d}" in str(Path(f"/proc/self/fd/{descriptor}").readlink()) for step in steps):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            sync(descriptor)

        monkeypatch.setattr(os, "fsync", full)

    return fill


@pytest.mark.parametrize("rank", [0, 4])
def test_f50_a_full_disk_leaves_the_checkpoint_before_and_no_rubbish(site, tmp_path, fill_disk, rank):
    sections = {"model": {"lora_rank": rank}, "grpo": {"steps": 4}}
    make_trainer(site, tmp_path / "whole", **sections).train()
    run = tmp_path / "run"
    fill_disk(3)
    with pytest.raises(ResourceError, match="No space left") as failure:
        make_trainer(site, run, **sections).train()
    assert failure.value.exit_code == ExitCode.RESOURCE
    assert names(run) == ["step-000001", "step-000002"]
    fill_disk()
    again = make_trainer(site, run, **sections)
    again.resume()
    again.train()
    assert weights_hash(run) == weights_hash(tmp_path / "whole")
    assert rows(run) == rows(tmp_path / "whole")


def test_f50_a_run_that_may_goes_on_without_a_checkpoint_but_not_without_its_last(site, tmp_path, fill_disk, caplog):
    make_trainer(site, tmp_path / "whole", grpo={"steps": 4}).train()
    sections = {"run": {"survive_full_disk": True}, "grpo": {"steps": 4}}
    fill_disk(2, 3)
    with caplog.at_level(logging.WARNING):
        make_trainer(site, tmp_path / "run", **sections).train()
    assert caplog.text.count("goes on without a checkpoint") == 2
    assert names(tmp_path / "run") == ["step-000001", "step-000004"]
    assert weights_hash(tmp_path / "run") == weights_hash(tmp_path / "whole")
    fill_disk(4)
    with pytest.raises(ResourceError):
        make_trainer(site, tmp_path / "other", **sections).train()
    assert names(tmp_path / "other") == ["step-000002", "step-000003"]


@pytest.mark.parametrize(
    ("signum", "ending"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)], ids=["TERM", "INT"]
)
def test_f51_a_signal_lets_the_step_end_and_saves_it(site, tmp_path, signum, ending):
    make_trainer(site, tmp_path / "whole", run={"checkpoint_every": 100}, grpo={"steps": 4}).train()
    trainer = make_trainer(site, tmp_path / "run", run={"checkpoint_every": 100}, grpo={"steps": 4})

    def signal_in_step_three(trajectory, question):
        if trainer.step == 3 and not stop.is_made:
            os.kill(os.getpid(), signum)
        return by_letters(trajectory, question)

    trainer.grader.reward_fn = signal_in_step_three
    with pytest.raises(ending) as end, orderly_stop() as stop:
        trainer.train(stop=stop)
    assert signum == signal.SIGINT or end.value.code == ExitCode.TERMINATED
    assert names(tmp_path / "run") == ["step-000003"]
    again = make_trainer(site, tmp_path / "run", run={"checkpoint_every": 100}, grpo={"steps": 4})
    again.resume()
    again.train()
    assert weights_hash(tmp_path / "run") == weights_hash(tmp_path / "whole")
    assert GRACE_SECONDS < 25


def test_f51_a_step_that_outlasts_the_grace_is_given_up_and_what_was_before_it_saved(site, tmp_path):
    make_trainer(site, tmp_path / "whole", run={"checkpoint_every": 100}, grpo={"steps": 3}).train()
    trainer = make_trainer(site, tmp_path / "run", run={"checkpoint_every": 100}, grpo={"steps": 3})

    def hang_in_step_three(trajectory, question):
        if trainer.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        return by_letters(trajectory, question)

    trainer.grader.reward_fn = hang_in_step_three
    started = time.monotonic()
    with pytest.raises(GivenUp) as end, orderly_stop(grace_seconds=0.2) as stop:
        trainer.train(stop=stop)
    assert time.monotonic() - started < 20
    assert end.value.code == ExitCode.TERMINATED
    assert names(tmp_path / "run") == ["step-000002"]
    again = make_trainer(site, tmp_path / "run", run={"checkpoint_every": 100}, grpo={"steps": 3})
    again.resume()
    again.train()
    assert weights_hash(tmp_path / "run") == weights_hash(tmp_path / "whole")
    assert rows(tmp_path / "run") == rows(tmp_path / "whole")


@pytest.mark.parametrize(
    ("signals", "ending"),
    [
        ((signal.SIGTERM, signal.SIGINT), KeyboardInterrupt),
        ((signal.SIGINT, signal.SIGINT), KeyboardInterrupt),
        ((signal.SIGINT, signal.SIGTERM), SystemExit),
    ],
)
def test_f51_the_second_signal_ends_at_once_and_handlers_are_put_back(signals, ending):
    before = [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)]
    started = time.monotonic()
    with pytest.raises(ending):
        send_while_stopping(signals)
    assert time.monotonic() - started < 2
    assert [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)] == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def send_while_stopping(signals):
    with orderly_stop() as stop:
        os.kill(os.getpid(), signals[0])
        assert stop.is_made
        os.kill(os.getpid(), signals[1])
        time.sleep(5)


@pytest.mark.parametrize("rank", [0, 4])
def test_f53_a_resumed_run_equals_the_undisturbed_one(site, tmp_path, rank):
    sections = {"model": {"lora_rank": rank}, "grpo": {"steps": 5}}
    make_trainer(site, tmp_path / "whole", **sections).train()
    for name, steps in (("parts", 2), ("parts", 4), ("parts", 5)):
        part = make_trainer(site, tmp_path / name, **{**sections, "grpo": {"steps": 5}})
        part.resume()
        part._is_done = lambda part=part, steps=steps: part.step >= steps
        part.train()
    assert weights_hash(tmp_path / "parts") == weights_hash(tmp_path / "whole")
    assert rows(tmp_path / "parts") == rows(tmp_path / "whole")
    questions = [[json.loads(line)["question_id"] for line in path.open()] for path in played(tmp_path / "parts")]
    assert questions == [[json.loads(line)["question_id"] for line in p.open()] for p in played(tmp_path / "whole")]


def played(run):
    return sorted((run / "trajectories").iterdir())
