"""The probe of every step: a sampler that did not get the weights is found at once, however small the steps are."""

from __future__ import annotations

import json
import random
from copy import deepcopy

import pytest
import torch

from agent.grpo.canary import Canary, followed
from agent.grpo.doctor import examine_metrics
from agent.grpo.metrics import read_metrics
from agent.grpo.trainer import GrpoTrainer
from agent.sampling.torch_engine import TorchEngine
from agent.sampling.vllm_fleet import Fleet
from rewards.base import Reward
from tests.agent.remote import lora, plain, remote, wide_model
from tests.agent.tiny import make_config, make_model
from tests.agent.vllm_server import TinyVllm, serving

IDS = [5, 70, 300, 41, 8, 99, 250, 17, 620, 3]


def by_letters(trajectory, _):
    return Reward.of({"letters": sum(map(ord, trajectory.turns[0].text)) % 97 / 97})


def train(folder, arena, chat, model, learning_rate, steps=2, **sampling):
    folder.mkdir(exist_ok=True)
    config = make_config(folder, grpo={"steps": steps, "learning_rate": learning_rate}, sampling=sampling)
    trainer = GrpoTrainer(config, model, chat, arena, arena, folder)
    trainer.grader.reward_fn = by_letters
    trainer.train()
    return trainer, list(read_metrics(folder / "metrics.jsonl"))


def names(findings):
    return [finding.name for finding in findings]


@pytest.mark.parametrize("learning_rate", [2e-5, 1e-3])
@pytest.mark.parametrize("rank", [0, 4])
def test_c6_a_refresh_that_does_nothing_is_found_after_one_step(
    tmp_path, arena, chat, monkeypatch, learning_rate, rank
):
    model = lora(make_model(), tmp_path / "base") if rank else make_model()
    other = deepcopy(model)
    _, healthy = train(tmp_path / "healthy", arena, chat, model, learning_rate)
    followed_by = [row["probe_followed"] for row in healthy if "probe_followed" in row]
    assert followed_by == pytest.approx([1.0] * len(followed_by), abs=0.05)
    assert "probe_followed" in healthy[0]
    assert "sampler_has_old_weights" not in names(examine_metrics(healthy))
    monkeypatch.setattr(TorchEngine, "refresh", lambda _: None)
    _, stale = train(tmp_path / "stale", arena, chat, other, learning_rate)
    assert all(row["mismatch_kl" if "mismatch_kl" in row else "kl"] < 1e-4 for row in stale), "nothing else shows it"
    finding = next(one for one in examine_metrics(stale[:1]) if one.name == "sampler_has_old_weights")
    assert "of what step 1 changed is seen in the sampler" in finding.evidence
    assert '"sampler_has_old_weights"' in (tmp_path / "stale" / "doctor.jsonl").read_text().splitlines()[0]


@pytest.mark.parametrize("learning_rate", [2e-5, 1e-3])
def test_c6_a_server_that_keeps_its_weights_is_found_and_named(
    tmp_path, arena, chat, tokenizer, monkeypatch, learning_rate, caplog
):
    """Two servers: one says that it took the weights, and did not."""
    model = wide_model()
    tinies = [TinyVllm(deepcopy(plain(model)), tokenizer) for _ in range(2)]
    with serving(tinies[0]) as good, serving(tinies[1]) as bad:
        config = make_config(
            tmp_path,
            grpo={"steps": 1, "learning_rate": learning_rate},
            sampling={"engine": "vllm", "servers": [good, bad]},
        )
        trainer = GrpoTrainer(config, model, chat, arena, arena, tmp_path)
        trainer.grader.reward_fn = by_letters
        tinies[1].reload = lambda body: (200, {"results": [None]})
        trainer.train()
        trainer.engine.close()
    rows = list(read_metrics(tmp_path / "metrics.jsonl"))
    assert rows[0]["probe_followed"] == pytest.approx(0, abs=0.01)
    assert "sampler_has_old_weights" in names(examine_metrics(rows))
    told = [record.getMessage() for record in caplog.records if "new weights" in record.getMessage()]
    assert len([text for text in told if text.startswith("step 1: ") and bad.split("//")[1] in text]) == 1
    assert not [text for text in told if good.split("//")[1] in text]


def test_c6_servers_that_took_them_follow(tmp_path, arena, chat, tokenizer):
    model = wide_model()
    tiny = TinyVllm(deepcopy(plain(model)), tokenizer)
    with serving(tiny) as url:
        trainer, rows = train(tmp_path, arena, chat, model, 2e-5, 1, engine="vllm", servers=[url])
        trainer.engine.close()
    assert rows[0]["probe_followed"] == pytest.approx(1, abs=0.05)


def test_a_server_that_gives_no_probe_is_left_out(tmp_path, chat, tokenizer, monkeypatch):
    monkeypatch.setattr("agent.sampling.vllm_engine.PROBE_SECONDS", 0.2)
    with remote(wide_model(), chat, tokenizer, tmp_path, num_servers=2) as (engine, tinies):
        both = engine.probe(IDS)
        assert len(both) == 2
        assert all(len(told) == len(IDS) - 1 for told in both.values())
        tinies[0].faults.append("hang")
        assert engine.probe(IDS) == {name: both[name] for name in [engine.fleet.servers[1].name]}
        assert isinstance(engine.fleet, Fleet)


def test_what_sampler_and_trainer_say_of_a_text_is_equal_and_disturbs_nothing():
    model = wide_model()
    engine = TorchEngine(model, stop_token_ids=set(), max_context=64, max_rows=2)
    canary = Canary(_prepared(model), IDS)
    canary.begin(engine)
    state = canary.state()
    assert state["samplers"]["the sampler"] == pytest.approx(list(state["trainer"]), abs=1e-5)
    assert engine.num_open_rows == 0
    again = Canary(model, IDS)
    again.restore(json.loads(json.dumps(state)))
    again.begin(None)
    assert again.state() == state


def test_steps_below_rounding_add_up_until_they_can_be_judged():
    model = _prepared(wide_model())
    engine = TorchEngine(model, stop_token_ids=set(), max_context=64, max_rows=2)
    canary, found = Canary(model, IDS), []
    canary.begin(engine)
    direction = torch.randn(model.model.norm.weight.shape, generator=torch.Generator().manual_seed(0))
    for step in range(1, 40):
        with torch.no_grad():
            model.model.norm.weight += 6e-7 * direction
        engine.refresh()
        found.append(canary.look(engine, step))
    assert found[0] == {}
    assert any(found)


def test_rounding_is_no_finding_and_a_part_that_is_missing_is():
    stream = random.Random(0)
    change = [stream.gauss(0, 1e-3) for _ in range(40)]
    assert followed([0.0] * 40, change, 2e-6) is None
    assert followed([1e-7] * 40, [0.0] * 40, 2e-6) is None
    for _ in range(300):  # bfloat16: the noise of single numbers is as large as the change
        noisy = followed(change, [one + stream.gauss(0, 1e-3) for one in change], 1e-4)
        assert not noisy.is_lost
    assert followed(change, [0.0] * 40, 2e-6).is_lost
    assert followed(change, [0.8 * one for one in change], 2e-6).is_lost
    lost = [followed(change, [stream.gauss(0, 1e-3) for _ in change], 1e-4) for _ in range(10)]
    rows = [
        {"step": step, "trained_tokens": 9, "kl": 0.0, "probe_change": one.change, "probe_followed": one.share}
        | {"probe_error": one.error}
        for step, one in enumerate(lost, 1)
    ]
    assert names(examine_metrics(rows)) == ["sampler_has_old_weights"]


def _prepared(model):
    from agent.segment_attention import enable_segment_attention

    enable_segment_attention(model)
    return model
