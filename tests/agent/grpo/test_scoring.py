"""What is settled before a step's first update: whose logprobs ratios are against, weights, masks and KL."""

from __future__ import annotations

import random
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from agent.grpo.loss import LossConfig
from agent.grpo.packing import pack
from agent.grpo.reference import AdapterOff, FrozenCopy, make_reference
from agent.grpo.scoring import settle
from agent.grpo.update import update
from agent.segment_attention import enable_segment_attention
from tests.agent.grpo.builders import make_model, make_samples

OPTIONS = {"temperature": 1.0, "max_tokens": 128, "grad_clip": 1e9}
CLOSE = 2e-5


def prepared(kind="llama"):
    model = make_model(kind)
    enable_segment_attention(model)
    return model


def step(samples, config, *, model=None, lr=1.0, **options):
    """The difference that a step of SGD makes, by parameter, and what it reports."""
    model = model or prepared()
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    done = update(model, torch.optim.SGD(model.parameters(), lr=lr), samples, config, **{**OPTIONS, **options})
    assert done.is_finite
    return {name: before[name] - value.detach() for name, value in model.named_parameters()}, done


def assert_equal(first, second, scale=1.0):
    size = max(float(value.abs().max()) for value in second.values())
    assert size > 0
    for name, value in first.items():
        torch.testing.assert_close(value, scale * second[name], atol=CLOSE * size, rtol=1e-4)


def own_logprobs(samples):
    """The samples as an exact sampler would have drawn them: with the trainer's own logprobs."""
    model, exact = prepared(), []
    for sample in samples:
        ids = torch.tensor(sample.token_ids)
        with torch.no_grad():
            scores = model(ids[None], segment_lengths=(len(ids),)).logits[0, :-1].log_softmax(-1)
        logprobs = [0.0, *scores.gather(-1, ids[1:, None])[:, 0].tolist()]
        exact.append(replace(sample, logprobs=masked(logprobs, sample.action_mask)))
    return exact


def masked(logprobs, mask):
    return tuple(logprob * is_on for logprob, is_on in zip(logprobs, mask, strict=True))


def nearly_own_logprobs(samples, noise=0.4):
    """The samples as a sampler of another precision would have drawn them."""
    stream = random.Random(2)
    return [
        replace(one, logprobs=masked([p + stream.gauss(0, noise) for p in one.logprobs], one.action_mask))
        for one in own_logprobs(samples)
    ]


def test_without_need_of_it_the_model_is_not_run():
    plan = [pack(make_samples(3), 128)]
    settled, mismatch = settle(plan, None, LossConfig(), 1.0, None)
    assert settled == plan
    assert mismatch.num_tokens == 0


def test_how_far_sampler_and_trainer_are_apart_is_measured_either_way():
    samples = make_samples(5)
    plain = step(samples, LossConfig())[1].mismatch
    scored = step(samples, LossConfig(old_logprobs="trainer"))[1].mismatch
    assert plain.means() == pytest.approx(scored.means(), rel=1e-4)
    assert plain.num_tokens == sum(sample.num_actions for sample in samples)
    exact = step(own_logprobs(samples), LossConfig())[1].mismatch.means()
    assert exact["mismatch_kl"] < 1e-6 < plain.means()["mismatch_kl"]
    assert exact["mismatch_max"] < 1e-4 < plain.means()["mismatch_max"]


def test_against_the_trainers_own_logprobs_the_first_ratio_is_one():
    done = step(make_samples(5), LossConfig(kind="dapo", old_logprobs="trainer"))[1].statistics.means()
    assert done["ratio_mean"] == pytest.approx(1.0, abs=1e-5)
    assert done["clip_fraction"] == 0.0


@pytest.mark.parametrize("mode", ["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"])
def test_a_correction_multiplies_each_tokens_gradient_by_the_ratio_of_trainer_to_sampler(mode):
    samples = nearly_own_logprobs(make_samples(9))
    config = LossConfig(mismatch=mode, mismatch_cap=1.5, mismatch_floor=0.6)
    found, done = step(samples, config)
    model = make_model("llama")
    total, count, weights = torch.zeros(()), sum(sample.num_actions for sample in samples), []
    for sample in samples:
        ids, on = torch.tensor(sample.token_ids), torch.tensor(sample.action_mask[1:]).bool()
        logprobs = model(ids[None]).logits[0, :-1].log_softmax(-1).gather(-1, ids[1:, None])[:, 0][on]
        difference = (logprobs - torch.tensor(sample.logprobs[1:])[on]).detach()
        ratio = (difference.sum().expand_as(difference) if mode.startswith("sequence") else difference).exp()
        is_kept = ((ratio >= 0.6) & (ratio <= 1.5)).float()
        weights.append(ratio.clamp(0.6, 1.5) if mode.endswith("truncate") else ratio * is_kept)
        total = total - (weights[-1] * sample.advantage * logprobs).sum() / count
    total.backward()
    limited = torch.cat(weights)
    assert bool(((limited == 0) | (limited - 0.6).abs().lt(1e-6) | (limited == 1.5)).any())
    assert_equal(found, {name: value.grad for name, value in model.named_parameters()})
    assert done.mismatch.means()["correction_mean"] == pytest.approx(float(torch.cat(weights).mean()), rel=1e-4)


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_only_the_least_certain_tokens_are_learnt_from_however_a_step_is_cut(share):
    samples = make_samples(8)
    config = LossConfig(top_entropy=share)
    whole, done = step(samples, config, max_tokens=4096)
    cut, _ = step(samples, config, max_tokens=48)
    assert_equal(cut, whole)
    assert done.statistics.means()["silenced_fraction"] == pytest.approx(1 - share, abs=0.03)
    assert any(not torch.allclose(value, whole[name]) for name, value in step(samples, LossConfig())[0].items())


def test_several_updates_learn_from_every_sample_against_the_logprobs_before_the_first():
    samples = make_samples(9)
    model = prepared()
    _, done = step(samples, LossConfig(kind="dapo"), model=model, num_updates=3, lr=0.05)
    assert done.statistics.num_tokens == sum(sample.num_actions for sample in samples)
    assert done.statistics.means()["kl"] > 1e-7
    plan, _ = settle([pack(samples[n::3], 128) for n in range(3)], prepared(), LossConfig(kind="dapo"), 1.0, None)
    exact = own_logprobs(samples)
    first = sorted(p for batch in plan[0] for p in batch.old_logprobs.tolist())
    wanted = sorted(p for one in exact[0::3] for p, on in zip(one.logprobs, one.action_mask, strict=True) if on)
    assert first == pytest.approx(wanted, abs=1e-4)
    again = prepared()
    for number in range(3):
        step(exact[number::3], LossConfig(kind="dapo"), model=again, lr=0.05)
    for mine, theirs in zip(model.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-3)


def test_kl_in_the_reward_moves_advantages_towards_the_reference_and_their_mean_not_at_all():
    samples = make_samples(6)
    other = make_model("llama", seed=3)
    enable_segment_attention(other)
    plan = [pack(samples, 64)]
    settled, _ = settle(plan, prepared(), LossConfig(kl_in_reward=0.3), 1.0, FrozenCopy(other))
    before = torch.cat([batch.advantages for batch in plan[0]])
    after = torch.cat([batch.advantages for batch in settled[0]])
    difference = torch.cat([batch.old_logprobs - batch.ref_logprobs for batch in settled[0]])
    assert float((after - before).mean()) == pytest.approx(0.0, abs=1e-5)
    torch.testing.assert_close(after - before, -0.3 * (difference - difference.mean()), atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match="reference"):
        settle(plan, prepared(), LossConfig(kl_in_reward=0.3), 1.0, None)


class Adapted(torch.nn.Module):
    """A model with an additive adapter on its head, which can be switched off as peft's can."""

    def __init__(self, model):
        super().__init__()
        self.inner, self.is_on = model, True
        self.extra = torch.nn.Parameter(torch.randn_like(model.lm_head.weight))
        self.device = model.device
        model.lm_head.register_forward_hook(self._add)

    def _add(self, _, args, output):
        return output + args[0] @ self.extra.t() if self.is_on else output

    def get_decoder(self):
        return self.inner.get_decoder()

    def get_output_embeddings(self):
        return self.inner.get_output_embeddings()

    @contextmanager
    def disable_adapter(self):
        self.is_on = False
        try:
            yield
        finally:
            self.is_on = True


def test_the_reference_of_an_adapted_model_is_itself_without_the_adapter():
    base = prepared()
    (batch,) = pack(make_samples(3), 4096)
    wanted = make_reference(base).logprobs(batch, 0.8)
    adapted = Adapted(prepared())
    reference = make_reference(adapted)
    assert isinstance(reference, AdapterOff)
    torch.testing.assert_close(reference.logprobs(batch, 0.8), wanted)
    assert adapted.is_on
    assert not torch.allclose(FrozenCopy(adapted).logprobs(batch, 0.8), wanted)


def test_the_reference_of_a_peft_model_is_its_base_while_training_moves_the_adapter():
    peft = pytest.importorskip("peft", reason="peft is not installed (extra gpu)")
    base = prepared()
    (batch,) = pack(make_samples(3), 4096)
    wanted = FrozenCopy(base).logprobs(batch, 1.0)
    options = peft.LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False)
    model = peft.get_peft_model(base, options)
    enable_segment_attention(model)
    reference = make_reference(model)
    torch.testing.assert_close(reference.logprobs(batch, 1.0), wanted)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    before = [parameter.detach().clone() for parameter in trained]
    optimizer = torch.optim.SGD(trained, lr=0.1)
    done = update(model, optimizer, make_samples(3), LossConfig(kl=0.1), **OPTIONS, reference=reference)
    assert done.is_finite
    assert done.statistics.means()["ref_kl"] > 0
    assert any(not torch.equal(old, new) for old, new in zip(before, trained, strict=True))
    torch.testing.assert_close(reference.logprobs(batch, 1.0), wanted)


def test_a_frozen_copy_stays_while_the_model_moves():
    model = prepared()
    reference = make_reference(model)
    (batch,) = pack(make_samples(3), 4096)
    before = reference.logprobs(batch, 1.0)
    step(make_samples(3), LossConfig(), model=model)
    assert torch.equal(reference.logprobs(batch, 1.0), before)
    assert not before.requires_grad


def test_an_update_that_is_refused_ends_the_step_and_shows_its_numbers_without_a_token():
    samples, model = make_samples(6), prepared()
    answers = iter(["", "with a reason"])
    before = [parameter.detach().clone() for parameter in model.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    options = {**OPTIONS, "num_updates": 3, "guard": lambda *_: next(answers)}
    done = update(model, optimizer, samples, LossConfig(), **options)
    assert (done.is_finite, done.reason) == (False, "with a reason")
    assert any(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    second = [sample for sample in samples[1::3] if sample.num_actions]
    assert set(done.tensors) == {"logprobs", "old_logprobs", "advantages", "sequence_ids"}
    assert {len(tensor) for tensor in done.tensors.values()} == {sum(sample.num_actions for sample in second)}
    assert int(done.tensors["sequence_ids"].max()) == len(second) - 1
