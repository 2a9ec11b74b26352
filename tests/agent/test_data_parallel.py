"""Several processes that each take a share of a step end with the weights of one that takes all of it."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
import torch
from torch import multiprocessing

from agent.data_parallel import joined, sum_gradients
from agent.segment_attention import enable_segment_attention
from agent.sft import imitate, repeat_drill
from tests.agent.tiny import VOCABULARY, make_model

TRACES = [repeat_drill(Random(seed), VOCABULARY, 16, 24 + 8 * seed) for seed in range(4)]


def imitated(traces):
    model = make_model()
    enable_segment_attention(model)
    done = imitate(model, torch.optim.SGD(model.parameters(), lr=0.1), traces, context_weight=0.3)
    return done, {name: parameter.detach() for name, parameter in model.named_parameters()}


def train_share(rank: int, folder: Path) -> None:
    with joined(rank, 2, folder / "rendezvous"):
        done, weights = imitated(TRACES[:1] if rank == 0 else TRACES[1:])
    torch.save({"weights": weights, "done": (done.loss, done.grad_norm, done.num_tokens)}, folder / f"{rank}.pt")


@pytest.mark.slow
def test_two_unequal_shares_train_as_one_process_does(tmp_path):
    alone, weights = imitated(TRACES)
    multiprocessing.spawn(train_share, (tmp_path,), 2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert first["done"] == second["done"]
    assert first["done"] == pytest.approx((alone.loss, alone.grad_norm, alone.num_tokens), rel=1e-5)
    for name, weight in weights.items():
        assert torch.equal(first["weights"][name], second["weights"][name])
        assert torch.allclose(first["weights"][name], weight, atol=1e-6)


def test_a_single_process_keeps_its_gradients(tmp_path):
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.grad, totals = torch.tensor([1.0, 2.0]), torch.tensor([3.0])
    with joined(0, 1, tmp_path / "rendezvous"):
        sum_gradients([parameter], totals)
    assert (parameter.grad.tolist(), totals.tolist()) == ([1.0, 2.0], [3.0])
