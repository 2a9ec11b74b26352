"""A model trained in shards is the model: the same gradients, run and checkpoints, and the sampler has the weights."""

from __future__ import annotations

import os
import shutil
from functools import partial

import pytest
import torch

from agent.gradient_checkpointing import enable_gradient_checkpointing
from agent.grpo.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint
from agent.grpo.distributed import ALONE, named_lost_peers
from agent.grpo.loss import LossConfig
from agent.grpo.optimizer import make_optimizer
from agent.grpo.sharding import check_shardable, gathered, make_shards
from agent.grpo.step_config import GrpoConfig
from agent.grpo.update import update
from agent.lora import add_lora
from agent.segment_attention import enable_segment_attention
from inbox_env.errors import ResourceError, UsageError
from tests.agent.grpo.builders import make_model, make_samples
from tests.agent.grpo.test_distributed import assert_near, assert_same_run, rows, train
from tests.agent.grpo.torchrun import together

GRPO = GrpoConfig(learning_rate=1e-2)


class Trainee:
    """A small model with its shards, if it has any, and its optimiser."""

    def __init__(self, peers, strategy, model):
        self.peers, self.model = peers, model
        enable_segment_attention(model)
        self.shards = make_shards(model, strategy, peers)
        self.optimizer = make_optimizer(model, GRPO, self.shards)

    def update(self, seed, **options):
        loss = LossConfig(weight_high=1e6)
        options = {"max_tokens": 64, "grad_clip": 0.5, "temperature": 1.0} | options
        samples = self.peers.share(make_samples(7, seed=seed))
        return update(self.model, self.optimizer, samples, loss, shards=self.shards, peers=self.peers, **options)

    def weights(self):
        return {name: weight.detach().clone() for name, weight in self.model.named_parameters()}

    def gradients(self):
        model = self.shards.copy if self.shards else self.model
        found = {name: weight.grad for name, weight in model.named_parameters() if weight.requires_grad}
        return {name: grad.full_tensor() if self.shards else grad for name, grad in found.items()}


def adapted(kind, dtype=torch.float32):
    """An adapter in float32 that is not zero, on a frozen base of any type."""
    model = add_lora(make_model(kind, dtype=dtype), rank=2, alpha=4, base="base")
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.randn_like(weight) * 0.05)
    return model


def recomputed(kind):
    model = make_model(kind)
    enable_gradient_checkpointing(model)
    return model


HALF = torch.bfloat16
OTHERS = {
    "qwen2": (partial(make_model, "qwen2"), 1e-5),
    "qwen3": (partial(make_model, "qwen3"), 1e-5),
    "recomputed": (partial(recomputed, "qwen3"), 1e-5),
    "adapter": (partial(adapted, "llama"), 1e-5),
    "adapter on 16 bits": (partial(adapted, "qwen3", HALF), 1e-5),
    "16 bits": (partial(make_model, "qwen3", dtype=HALF), 2e-2),  # one rounding of a weight
}


def largest_difference(one, other):
    return max(float((weight.float() - other[name].float()).abs().max()) for name, weight in one.items())


def compare_with_replicas(peers, makers):
    for name, (make, allowed) in makers.items():
        found = []
        for strategy in ("replicate", "shard"):
            trainee = Trainee(peers, strategy, make())
            done = [trainee.update(seed) for seed in (0, 1)][-1]
            found.append((trainee.weights(), done))
        (replicas, plain), (shards, done) = found
        assert largest_difference(replicas, shards) <= allowed, name
        assert (done.loss, done.grad_norm) == pytest.approx((plain.loss, plain.grad_norm), rel=max(allowed, 1e-5)), name
        assert done.num_tokens == plain.num_tokens


def test_two_updates_of_shards_are_those_of_replicas():
    together(compare_with_replicas, {"llama": (partial(make_model, "llama"), 1e-5)})


@pytest.mark.slow
def test_so_are_those_of_other_shapes_of_adapters_and_of_16_bits():
    together(compare_with_replicas, OTHERS)


def keep_gradients(peers, folder, strategy, make):
    """AdamW takes any scale out of a gradient, so that weights after its step say nothing of one."""
    trainee = Trainee(peers, strategy, make())
    done = trainee.update(0, grad_clip=1e9)
    gradients = trainee.gradients()  # all of them: each has its part
    if peers.is_first:
        torch.save((gradients, done.grad_norm), folder / "gradients.pt")


@pytest.mark.slow
@pytest.mark.parametrize("make", [partial(make_model, "llama"), partial(adapted, "qwen3")])
@pytest.mark.parametrize("size", [2, 3])
def test_the_gradients_of_shards_are_those_of_one_process_and_of_replicas(tmp_path, make, size):
    """Three processes: weights of 32 and 97 rows do not divide evenly."""
    alone = Trainee(ALONE, "shard", make())
    norm = alone.update(0, grad_clip=1e9).grad_norm
    for strategy in ("shard", "replicate"):
        together(keep_gradients, tmp_path, strategy, make, size=size)
        gradients, found = torch.load(tmp_path / "gradients.pt")
        assert gradients.keys() == alone.gradients().keys()
        assert largest_difference(gradients, alone.gradients()) <= 1e-5
        assert found == pytest.approx(norm, rel=1e-5)
        assert max(float(grad.abs().max()) for grad in gradients.values()) > 1e-2, "there is something to compare"


def compare_with_one_process(peers, folder):
    trainee = Trainee(peers, "shard", make_model("qwen3"))
    done = trainee.update(0, share_prefixes=True)
    if peers.is_first:
        torch.save((trainee.weights(), done.loss, done.grad_norm), folder / "shards.pt")


def test_an_update_of_shards_is_that_of_one_process(tmp_path):
    together(compare_with_one_process, tmp_path)
    weights, loss, norm = torch.load(tmp_path / "shards.pt")
    alone = Trainee(ALONE, "shard", make_model("qwen3"))
    done = alone.update(0)
    assert largest_difference(weights, alone.weights()) <= 1e-5
    assert (loss, norm) == pytest.approx((done.loss, done.grad_norm), rel=1e-4)


def meet_no_number(peers, folder):
    """One process alone computes what is not a number: none may step, and none may stay behind."""
    trainee = Trainee(peers, "shard", make_model("llama"))
    before = trainee.weights()
    if not peers.is_first:
        hook = trainee.shards.register_forward_hook(lambda _, __, output: (output[0] * torch.nan, output[1]))
    done = trainee.update(0)
    assert not done.is_finite
    assert largest_difference(before, trainee.weights()) == 0
    if not peers.is_first:
        hook.remove()
    assert trainee.update(1).is_finite
    torch.save(trainee.weights(), folder / f"{peers.rank}.pt")


@pytest.mark.slow
def test_a_number_that_is_none_in_one_process_refuses_the_update_in_all(tmp_path):
    together(meet_no_number, tmp_path)
    assert largest_difference(*(torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))) == 0


def lose_the_other(peers, folder):
    trainee = Trainee(peers, "shard", make_model("llama"))
    if not peers.is_first:
        os._exit(0)
    with pytest.raises(ResourceError, match=r"another process.*--resume"), named_lost_peers():
        trainee.shards.idle(1)
    with pytest.raises(RuntimeError, match="ours"), named_lost_peers():
        raise RuntimeError("ours")
    (folder / "named").touch()


@pytest.mark.slow
def test_a_process_that_is_gone_in_a_pass_of_shards_is_named_as_such(tmp_path):
    together(lose_the_other, tmp_path)
    assert (tmp_path / "named").is_file()


def hold_a_part(peers):
    """Of every weight, frozen or not, and filled: the copy was made without any."""
    trainee = Trainee(peers, "shard", adapted("qwen3"))
    whole, local = 0, 0
    for mine, shard in trainee.shards._pairs():
        assert torch.equal(mine, shard.full_tensor())
        whole, local = whole + mine.numel(), local + shard.to_local().numel()
    assert whole == sum(weight.numel() for weight in trainee.model.parameters())
    assert local <= 0.51 * whole
    assert not any(buffer.is_meta for buffer in trainee.shards.buffers())


@pytest.mark.slow
def test_every_weight_is_sharded_a_frozen_one_too():
    together(hold_a_part)


def one_step_and_save(peers, folder, strategy="shard"):
    trainee = Trainee(peers, strategy, make_model("qwen2"))
    trainee.update(0)
    optimizer = gathered(trainee.optimizer)
    if peers.is_first:
        save_checkpoint(folder, 1, trainee.model, optimizer, {})


def go_on(peers, folder, strategy):
    trainee = Trainee(peers, strategy, make_model("qwen2", seed=5))
    load_checkpoint(latest_checkpoint(folder), trainee.model, trainee.optimizer)
    trainee.update(1)
    torch.save(trainee.weights(), folder / f"{strategy}-{peers.size}.pt")


@pytest.mark.slow
@pytest.mark.parametrize("saved_by", ["shards", "replicas", "one process"])
def test_what_was_saved_goes_on_with_any_strategy_and_number_of_processes(tmp_path, saved_by):
    if saved_by == "one process":
        one_step_and_save(ALONE, tmp_path)
    else:
        together(one_step_and_save, tmp_path, "shard" if saved_by == "shards" else "replicate")
    go_on(ALONE, tmp_path, "replicate")
    for strategy, size in (("shard", 2), ("replicate", 2), ("shard", 3)):
        together(go_on, tmp_path, strategy, size=size)
    names = ("replicate-1", "shard-2", "replicate-2", "shard-3")
    alone, *others = (torch.load(tmp_path / f"{name}.pt") for name in names)
    assert all(largest_difference(alone, other) <= 1e-5 for other in others)


def train_shards(peers, folder, mailbox, steps, stops_at=None):
    trainer = train(peers, folder, mailbox, steps, stops_at, strategy="shard")
    shards = trainer._shards
    assert (shards is not None) == (peers.size > 1)
    for whole, shard in shards._pairs() if shards else ():
        assert torch.equal(whole, shard.full_tensor()), "the sampler has other weights than those that are trained"


@pytest.mark.slow
def test_a_sharded_run_is_that_of_one_process_and_goes_on_as_one(tmp_path, mailbox, alone):
    whole, half, copy = (tmp_path / name for name in ("whole", "half", "copy"))
    for folder in (whole, half):
        folder.mkdir()
    together(train_shards, whole, mailbox, 4)
    assert_same_run(whole, alone)
    assert_near(whole, alone)
    together(train_shards, half, mailbox, 4, 2)
    assert len(rows(half)) == 2
    shutil.copytree(half, copy)
    train(ALONE, half, mailbox, 4)
    assert_same_run(half, alone)
    together(train_shards, copy, mailbox, 4)
    assert_same_run(copy, alone)


def test_quantised_weights_are_refused_with_what_to_do():
    model = make_model()
    model.is_loaded_in_4bit = True
    with pytest.raises(UsageError, match=r"quantised.*replicate"):
        check_shardable(model)


def test_trained_weights_of_two_types_are_refused_with_what_to_do():
    model = make_model(dtype=HALF)
    model.model.norm.float()
    with pytest.raises(UsageError, match=r"bfloat16 and torch.float32.*replicate"):
        check_shardable(model)
    check_shardable(adapted("llama", HALF))
