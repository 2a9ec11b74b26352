"""No memory, no device, another trainer: a run ends with one line and its checkpoint, or takes smaller bites."""

from __future__ import annotations

import logging
import os

import pytest
import torch

from agent.grpo import trainer as trainer_module
from agent.run_folder import open_run
from inbox_env.errors import ExitCode, ResourceError
from tests.agent.tiny import make_config
from tests.faults.killed_run import make_trainer
from tests.faults.run_site import make_site, names, rows


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return make_site(tmp_path_factory.mktemp("site"))


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
