from __future__ import annotations

import argparse
import json

from scripts.bench_trainer import add_arguments, run


def test_both_sides_of_the_benchmark_compute_the_same_gradient(capsys):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert run(parser.parse_args(["--samples", "4", "--repeats", "1", "--json"])) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["max_gradient_difference"] < 1e-3 * result["max_gradient"]
    assert result["padded_tokens_per_cpu_second"] > 0
    assert result["packed_tokens_per_cpu_second"] > 0
