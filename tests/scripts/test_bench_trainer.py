from __future__ import annotations

import argparse
import json

import pytest

from scripts.bench_sampler import tool_turns
from scripts.bench_step import make_step_model, measure_steps
from scripts.bench_trainer import add_arguments, run


def test_both_sides_of_the_benchmark_compute_the_same_gradient(capsys):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert run(parser.parse_args(["--samples", "4", "--repeats", "1", "--part", "packing", "--json"])) == 0
    result = json.loads(capsys.readouterr().out)["packing"]
    assert result["max_gradient_difference"] < 1e-3 * result["max_gradient"]
    assert result["padded_tokens_per_cpu_second"] > 0
    assert result["packed_tokens_per_cpu_second"] > 0


@pytest.mark.slow
def test_both_sides_of_a_step_sample_and_train_on_the_same_numbers_of_tokens():
    pytest.importorskip("trl")
    model = make_step_model(0, hidden=16)
    work = tool_turns(model.config.vocab_size, "tiny", num_groups=1, prompt=8)
    result = measure_steps(model, work, repeats=1, max_tokens=4096, seed=0)
    assert result["trained_tokens"] == {"mailsleuth": work.num_generated, "trl": work.num_generated}
    for side in ("mailsleuth", "trl"):
        seconds = result[side]
        assert 0 < seconds["sampling_cpu"] < seconds["step_cpu"]
        assert seconds["sampling_cpu"] + seconds["training_cpu"] <= 1.01 * seconds["step_cpu"]
