"""Two processes are one: the same gradients, the same run, whatever the number of processes was before."""

from __future__ import annotations

import json
import shutil
import time

import pytest
import torch

from agent.arena import Arena
from agent.chat_format import ChatFormat
from agent.grpo.checkpoint import latest_checkpoint
from agent.grpo.distributed import ALONE, joined_by_torchrun
from agent.grpo.loss import LossConfig
from agent.grpo.metrics import read_metrics
from agent.grpo.stop_signals import StopRequest
from agent.grpo.trainer import GrpoTrainer
from agent.grpo.update import update
from agent.segment_attention import enable_segment_attention
from inbox_env.errors import ResourceError, UsageError
from inbox_env.synthetic import generate_inbox
from inbox_env.trajectory import read_trajectories
from rewards.base import Reward
from tests.agent.grpo.builders import make_model, make_samples
from tests.agent.grpo.torchrun import together
from tests.agent.tiny import LIMITS, make_config, make_tokenizer
from tests.agent.tiny import make_model as make_tiny

TIMES = {"seconds", "sample_seconds", "train_seconds"}
LOSSES = {
    "cispo": {"weight_high": 1e6},
    "grpo": {"kind": "grpo", "average": "sequences"},
    "masked": {"top_entropy": 0.5, "mismatch": "token_truncate"},
}


def one_update(peers, loss, num_updates=1):
    model = make_model("llama")
    enable_segment_attention(model)
    done = update(
        model,
        torch.optim.SGD(model.parameters(), lr=1.0),
        peers.share(make_samples(7)),
        LossConfig(**loss),
        temperature=1.0,
        max_tokens=128,
        grad_clip=1e9,
        num_updates=num_updates,
        peers=peers,
    )
    numbers = [done.loss, done.grad_norm, *done.statistics.means().values(), *done.mismatch.means().values()]
    return {name: weight.detach() for name, weight in model.named_parameters()}, numbers


def update_everywhere(peers, folder):
    torch.save({name: one_update(peers, loss) for name, loss in LOSSES.items()}, folder / f"{peers.rank}.pt")


def test_the_gradients_of_two_processes_are_those_of_one(tmp_path):
    together(update_everywhere, tmp_path)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    for name, loss in LOSSES.items():
        weights, numbers = one_update(ALONE, loss)
        assert first[name][1] == second[name][1] == pytest.approx(numbers, rel=1e-4, abs=1e-5)
        for key, weight in weights.items():
            assert torch.equal(first[name][0][key], second[name][0][key])
            assert float((first[name][0][key] - weight).abs().max()) <= 1e-5, (name, key)


def talk(peers, folder):
    everything = list(range(7))
    mine = peers.share(everything)
    assert peers.gather(mine) == everything
    assert peers.gather([] if peers.is_first else [5]) == [5]
    assert peers.sum(peers.rank + 1) == 3
    assert peers.is_any(not peers.is_first)
    assert not peers.is_any(False)
    assert peers.first(lambda: {"made": 0}) == {"made": 0}
    peers.check_same("nothing", 7)
    with pytest.raises(ResourceError, match="differ in rank"):
        peers.check_same("rank", peers.rank)
    (folder / f"{peers.rank}").touch()


def test_what_is_shared_is_gathered_in_order_and_summed_in_order(tmp_path):
    together(talk, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"0", "1"}
    for check in (ALONE.share, ALONE.gather):
        assert check([1, 2]) == [1, 2]
    assert (ALONE.sum(2), ALONE.is_any(True), ALONE.first(lambda: 3)) == (2, True, 3)


def die_or_wait(peers, folder):
    if not peers.is_first:
        return
    with pytest.raises(ResourceError, match=r"process 1 of the run is gone.*--resume"):
        peers.gather([1])
    (folder / "named").touch()


def test_a_process_that_is_gone_is_named_as_such(tmp_path):
    together(die_or_wait, tmp_path)
    assert (tmp_path / "named").is_file()


def hang_or_wait(peers, folder):
    """Three processes meet once; then the second hangs, until the others have given up on it."""
    assert peers.gather([peers.rank]) == [0, 1, 2]
    if peers.rank == 1:
        wait_for(lambda: len(list(folder.iterdir())) == 2)
        return
    with pytest.raises(ResourceError, match=r"process 1 of the run did not answer within 0\.7 s.*run\.peer_seconds"):
        peers.gather([1])
    (folder / str(peers.rank)).touch()
    wait_for(lambda: len(list(folder.iterdir())) == 2)


def wait_for(is_done):
    until = time.monotonic() + 20
    while not is_done() and time.monotonic() < until:
        time.sleep(0.02)


def test_a_process_that_hangs_is_named_after_the_patience_that_was_asked_for(tmp_path):
    together(hang_or_wait, tmp_path, size=3, patience_seconds=0.7)
    assert {path.name for path in tmp_path.iterdir()} == {"0", "2"}


def count_those_here(peers, folder):
    (folder / f"{peers.rank}").write_text(str(peers.num_here))


def test_processes_know_how_many_of_them_share_their_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")  # two machines of one process each
    together(count_those_here, tmp_path)
    assert [(tmp_path / name).read_text() for name in "01"] == ["1", "1"]


def test_without_torchrun_a_process_is_alone():
    with joined_by_torchrun(environment={}.items()) as peers:
        assert peers is ALONE
    with joined_by_torchrun(environment={"WORLD_SIZE": "1"}.items()) as peers:
        assert peers is ALONE


def test_processes_that_would_share_a_card_are_refused():
    environment = {"WORLD_SIZE": "2", "RANK": "0"}.items()
    with pytest.raises(UsageError, match="share one card"), joined_by_torchrun("cuda:1", environment):
        pass


def by_letters(trajectory, _):
    return Reward.of({"letters": sum(map(ord, trajectory.turns[0].text)) % 97 / 97})


def train(peers, folder, mailbox, steps, stops_at=None, strategy="replicate"):
    """Train or go on for `steps`; rank 1 alone is asked to stop at a step, if at all."""
    inbox = generate_inbox("train", 1, num_emails=100, num_questions=20)
    arena, chat = Arena.open(mailbox, inbox.questions, LIMITS), ChatFormat(make_tokenizer())
    grpo = {"steps": steps, "questions_per_step": 3, "group_size": 2, "max_refills": 1, "learning_rate": 0.001}
    grpo["strategy"] = strategy
    config = make_config(folder, grpo=grpo, eval={"every": 2})
    trainer = GrpoTrainer(config, make_tiny(), chat, arena, arena, folder, peers)
    trainer.grader.reward_fn = by_letters
    trainer.resume()
    stop = StopRequest()

    def ask(row):
        if row["step"] == stops_at and not peers.is_first:
            stop.signum = 15

    try:
        trainer.train(ask, stop)
    except SystemExit:
        assert stops_at
    trainer._peers = ALONE
    return trainer


def assert_same_run(first, second):
    for mine, theirs in zip(rows(first), rows(second), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-3, abs=1e-5)
    for mine, theirs in zip(*(sorted((run / "trajectories").iterdir()) for run in (first, second)), strict=True):
        assert played(mine) == played(theirs)
    states = [json.loads((latest_checkpoint(run) / "state.json").read_text())["loop"] for run in (first, second)]
    assert states[0]["order"] == states[1]["order"]


def rows(run):
    return [{k: v for k, v in row.items() if k not in TIMES} for row in read_metrics(run / "metrics.jsonl")]


def played(path):
    return [(one.question_id, one.reward, [turn.text for turn in one.turns]) for one in read_trajectories(path)]


def weights(run):
    from safetensors.torch import load_file

    return load_file(latest_checkpoint(run) / "model.safetensors")


def assert_near(first, second):
    """AdamW divides by the gradient: where that is only rounding, so is the step, up to a part of the rate of 1e-3."""
    differences = [(weight - weights(second)[name]).abs().flatten() for name, weight in weights(first).items()]
    assert float(torch.cat(differences).max()) <= 2e-4
    assert float(torch.cat(differences).mean()) <= 1e-6


def test_a_run_of_two_processes_is_that_of_one(tmp_path, mailbox, alone):
    together(train, tmp_path, mailbox, 4)
    assert_same_run(tmp_path, alone)
    assert_near(tmp_path, alone)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in alone.iterdir()}


def test_a_run_goes_on_with_another_number_of_processes(tmp_path, mailbox, alone):
    together(train, tmp_path, mailbox, 4, 2)
    assert len(rows(tmp_path)) == 2, "a signal to one of them ended both after the step"
    shutil.copytree(tmp_path, tmp_path.with_name("copy"))
    train(ALONE, tmp_path, mailbox, 4)
    assert_same_run(tmp_path, alone)
    assert_near(tmp_path, alone)
    together(train, tmp_path.with_name("copy"), mailbox, 4)
    assert_same_run(tmp_path.with_name("copy"), alone)
