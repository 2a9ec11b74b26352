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
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from agent.grpo import trainer as trainer_module
from agent.grpo.checkpoint import latest_checkpoint, weights_file
from agent.grpo.metrics import read_metrics
from agent.grpo.stop_signals import GRACE_SECONDS, GivenUp, orderly_stop
from agent.run_folder import open_run
from inbox_env.errors import CorruptError, ExitCode, ResourceError
from inbox_env.store import build_inbox
from inbox_env.synthetic import generate_inbox
from tests.agent.tiny import make_config, make_tokenizer, write_model_folder
from tests.faults.killed_run import STEPS, by_letters, make_trainer, train

TIMES = {"seconds", "sample_seconds", "train_seconds"}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A base model and a mailbox, which every run here shares."""
    folder = tmp_path_factory.mktemp("site")
    write_model_folder(folder / "base", make_tokenizer())
    inbox = generate_inbox("train", 1, num_emails=100, num_questions=20)
    build_inbox(folder / "mail.db", inbox.name, inbox.emails, owner=inbox.owner)
    return folder


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


def weights_hash(run):
    """The hash over names and values; a file's header orders its metadata at random."""
    digest = sha256()
    for name, tensor in sorted(load_file(weights_file(latest_checkpoint(run))).items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


def rows(run):
    return [{k: v for k, v in row.items() if k not in TIMES} for row in read_metrics(run / "metrics.jsonl")]


def names(run):
    return sorted(path.name for path in (run / "checkpoints").iterdir())


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


@pytest.mark.parametrize("rank", [0, 4])
def test_f50_a_full_disk_leaves_the_checkpoint_before_and_no_rubbish(site, tmp_path, monkeypatch, rank):
    sections = {"model": {"lora_rank": rank}, "grpo": {"steps": 4}}
    make_trainer(site, tmp_path / "whole", **sections).train()
    run, sync = tmp_path / "run", os.fsync

    def full(descriptor):
        if "step-000003" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResourceError, match="No space left") as failure:
        make_trainer(site, run, **sections).train()
    assert failure.value.exit_code == ExitCode.RESOURCE
    assert names(run) == ["step-000001", "step-000002"]
    monkeypatch.setattr(os, "fsync", sync)
    again = make_trainer(site, run, **sections)
    again.resume()
    again.train()
    assert weights_hash(run) == weights_hash(tmp_path / "whole")
    assert rows(run) == rows(tmp_path / "whole")


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

    trainer._reward_fn = signal_in_step_three
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

    trainer._reward_fn = hang_in_step_three
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


def test_f40_a_step_too_large_for_the_device_is_halved_once(site, tmp_path, monkeypatch, caplog):
    update, asked = trainer_module.update, []

    def hungry(*arguments, max_tokens, **options):
        asked.append(max_tokens)
        if max_tokens > 2048:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return update(*arguments, max_tokens=max_tokens, **options)

    monkeypatch.setattr(trainer_module, "update", hungry)
    with caplog.at_level(logging.WARNING):
        make_trainer(site, tmp_path, grpo={"steps": 2, "micro_batch_tokens": 4096}).train()
    assert asked == [4096, 2048, 2048]
    assert caplog.text.count("out of memory") == 1
    assert [row["step"] for row in rows(tmp_path)] == [1, 2]


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_f40_a_step_that_never_fits_ends_the_run_with_its_checkpoint(site, tmp_path, monkeypatch, error):
    make_trainer(site, tmp_path, grpo={"steps": 1}).train()
    trainer = make_trainer(site, tmp_path, grpo={"steps": 3})
    trainer.resume()

    def hungry(*_, **__):
        raise error

    monkeypatch.setattr(trainer_module, "update", hungry)
    with pytest.raises(ResourceError, match="out of memory") as failure:
        trainer.train()
    assert failure.value.exit_code == ExitCode.RESOURCE
    assert names(tmp_path) == ["step-000001"]


def test_f40_a_sampler_without_memory_ends_the_run(site, tmp_path, monkeypatch):
    trainer = make_trainer(site, tmp_path)

    def hungry(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(trainer.engine._decoder, "step", hungry)
    with pytest.raises(ResourceError, match="max_rows"):
        trainer.train()


def test_f57_a_device_that_fails_ends_the_run_with_its_checkpoint(site, tmp_path, monkeypatch):
    make_trainer(site, tmp_path, grpo={"steps": 1}).train()
    trainer = make_trainer(site, tmp_path, grpo={"steps": 3})
    trainer.resume()

    def lost(*_):
        raise torch.AcceleratorError("CUDA error: the GPU has fallen off the bus\nand more")

    monkeypatch.setattr(trainer.engine._decoder, "append", lost)
    with pytest.raises(ResourceError, match="fallen off the bus") as failure:
        trainer.train()
    assert failure.value.exit_code == ExitCode.RESOURCE
    assert "\n" not in failure.value.line()
    assert names(tmp_path) == ["step-000001"]


def test_f58_the_second_trainer_of_a_run_is_refused_while_the_first_lives(tmp_path):
    config = make_config(tmp_path)
    with open_run(config, is_resuming=False, is_clean=False):
        child = os.fork()
        if child == 0:
            try:
                with open_run(config, is_resuming=True, is_clean=False):
                    os._exit(1)
            except ResourceError as error:
                os._exit(error.exit_code)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == ExitCode.RESOURCE
    with open_run(config, is_resuming=True, is_clean=False):
        pass
