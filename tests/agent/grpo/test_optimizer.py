"""AdamW steps in float32, whatever the weights are stored in, and goes on from its state exactly."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from agent.grpo.checkpoint import load_checkpoint, save_checkpoint
from agent.grpo.optimizer import CopyingAdamW, make_optimizer
from agent.grpo.step_config import GrpoConfig

CONFIG = GrpoConfig(learning_rate=1e-5)


def make_net(dtype=torch.bfloat16, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2)).to(dtype)


def step(net, optimizer, seed):
    torch.manual_seed(seed)
    optimizer.zero_grad()
    net(torch.randn(5, 4).to(net[0].weight.dtype)).float().square().sum().backward()
    optimizer.step()


def test_float32_weights_have_torchs_own_optimiser():
    net = make_net(torch.float32)
    assert type(make_optimizer(net, CONFIG)) is torch.optim.AdamW
    net[0].requires_grad_(False)
    assert sum(len(group["params"]) for group in make_optimizer(net, CONFIG).param_groups) == 2


def test_steps_too_small_for_bfloat16_add_up():
    nets = make_net(), make_net()
    copying, plain = make_optimizer(nets[0], CONFIG), torch.optim.AdamW(nets[1].parameters(), lr=1e-5, weight_decay=0.0)
    for seed in range(200):
        step(nets[0], copying, seed % 3)
        step(nets[1], plain, seed % 3)
    start = make_net()
    moved = [float((net[0].weight - start[0].weight).abs().mean()) for net in nets]
    assert 7e-4 < moved[0] < 2.1e-3
    assert moved[1] < moved[0] / 2


def test_the_copies_take_the_steps_of_float32_weights():
    net = make_net()
    copying = make_optimizer(net, CONFIG)
    mirror = make_net(torch.bfloat16).float()
    plain = torch.optim.AdamW(mirror.parameters(), lr=1e-5, betas=CONFIG.betas, weight_decay=0.0)
    for seed in range(5):
        copying.zero_grad()
        net(torch.ones(1, 4, dtype=torch.bfloat16) * seed).float().sum().backward()
        for weight, other in zip(net.parameters(), mirror.parameters(), strict=True):
            other.grad = weight.grad.float()
        copying.step()
        plain.step()
    for copy, other in zip(copying.param_groups[0]["params"], mirror.parameters(), strict=True):
        assert torch.equal(copy, other)


@pytest.mark.parametrize("num_before", [0, 3])
def test_it_goes_on_from_a_checkpoint_exactly(tmp_path, num_before):
    net = make_net()
    optimizer = make_optimizer(net, CONFIG)
    assert isinstance(optimizer, CopyingAdamW)
    for seed in range(num_before):
        step(net, optimizer, seed)
    path = save_checkpoint(tmp_path, 1, net, optimizer, {})
    for seed in range(4):
        step(net, optimizer, seed)
    again = make_net(seed=9)
    resumed = make_optimizer(again, CONFIG)
    load_checkpoint(path, again, resumed)
    for seed in range(4):
        step(again, resumed, seed)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True))
    ours, theirs = optimizer.state_dict(), resumed.state_dict()
    assert json.dumps(ours["param_groups"]) == json.dumps(theirs["param_groups"])
    for number, values in ours["state"].items():
        assert all(torch.equal(tensor, theirs["state"][number][name]) for name, tensor in values.items())
