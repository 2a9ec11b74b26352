"""A model trained in shards is the model: the same gradients, run and checkpoints, and the sampler has the weights."""

from __future__ import annotations

import shutil

import pytest
import torch

from agent.grpo.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint
from agent.grpo.distributed import ALONE
from agent.grpo.loss import LossConfig
from agent.grpo.optimizer import make_optimizer
from agent.grpo.sharding import check_shardable, gathered, make_shards
from agent.grpo.step_config import GrpoConfig
from agent.grpo.update import update
from agent.segment_attention import enable_segment_attention
from inbox_env.errors import UsageError
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


def adapted(kind):
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    model = get_peft_model(make_model(kind), LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
    return model


def largest_difference(one, other):
    return max(float((weight.float() - other[name].float()).abs().max()) for name, weight in one.items())


def compare_with_replicas(peers, kinds):
    for kind, make, dtype, allowed in kinds:
        found = []
        for strategy in ("replicate", "shard"):
            trainee = Trainee(peers, strategy, make(kind).to(dtype))
            done = [trainee.update(seed) for seed in (0, 1)][-1]
            found.append((trainee.weights(), done))
        (replicas, plain), (shards, done) = found
        assert largest_difference(replicas, shards) <= allowed, kind
        assert (done.loss, done.grad_norm) == pytest.approx((plain.loss, plain.grad_norm), rel=1e-3 + allowed)
        assert done.num_tokens == plain.num_tokens


def test_two_updates_of_shards_are_those_of_replicas():
    together(compare_with_replicas, [("llama", make_model, torch.float32, 1e-5)])


def test_so_are_those_of_other_shapes_of_adapters_and_of_16_bits():
    kinds = [
        ("qwen2", make_model, torch.float32, 1e-5),
        ("qwen3", make_model, torch.float32, 1e-5),
        ("llama", adapted, torch.float32, 1e-5),
        ("qwen3", make_model, torch.bfloat16, 2e-2),
    ]
    together(compare_with_replicas, kinds)


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


def refuse(peers, folder):
    trainee = Trainee(peers, "shard", make_model("llama"))
    before = trainee.weights()
    done = trainee.update(0, guard=lambda *_: "asked to")
    assert not done.is_finite
    assert largest_difference(before, trainee.weights()) == 0
    (folder / f"{peers.rank}").touch()


def test_a_refused_update_leaves_all_shards_alone(tmp_path):
    together(refuse, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def one_step_and_save(peers, folder):
    trainee = Trainee(peers, "shard", make_model("qwen2"))
    trainee.update(0)
    optimizer = gathered(trainee.optimizer)
    if peers.is_first:
        save_checkpoint(folder, 1, trainee.model, optimizer, {})


def go_on(peers, folder, strategy):
    trainee = Trainee(peers, strategy, make_model("qwen2", seed=5))
    load_checkpoint(latest_checkpoint(folder), trainee.model, trainee.optimizer)
    trainee.update(1)
    torch.save(trainee.weights(), folder / f"{strategy}-{peers.size}.pt")


def test_what_shards_saved_goes_on_with_any_strategy_and_number_of_processes(tmp_path):
    together(one_step_and_save, tmp_path)
    go_on(ALONE, tmp_path, "replicate")
    for strategy in ("shard", "replicate"):
        together(go_on, tmp_path, strategy)
    alone, *others = (torch.load(tmp_path / f"{name}.pt") for name in ("replicate-1", "shard-2", "replicate-2"))
    assert all(largest_difference(alone, other) <= 1e-5 for other in others)


def train_shards(peers, folder, mailbox, steps, stops_at=None):
    trainer = train(peers, folder, mailbox, steps, stops_at, strategy="shard")
    shards = trainer._shards
    assert (shards is not None) == (peers.size > 1)
    for whole, shard in shards._pairs() if shards else ():
        assert torch.equal(whole, shard.full_tensor()), "the sampler has other weights than those that are trained"


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
