"""What leaves a run: one model with its card, equal to the trained one, and never mail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from agent.grpo.config import TrainConfig, dump_config
from agent.lora import ADAPTER_CONFIG
from agent.model_config import ModelConfig
from agent.model_export import CARD, export_model, files_to_push, is_own_mail, push
from agent.model_folder import load_model, save_model
from agent.model_loading import load_trainee
from inbox_env.errors import UpstreamError, UsageError
from tests.agent.test_model_loading import logits, train_a_little
from tests.agent.tiny import make_config, write_model_folder

REPORT = {"num_correct": 30, "num_questions": 40, "accuracy": 0.75, "mean_turns": 3.2}


def mailbox_config(folder, **options):
    config = make_config(folder).model_dump(mode="json")
    files = dict.fromkeys(("train", "dev", "test"), "x.jsonl")
    return TrainConfig.model_validate({**config, "data": {"mailbox": {"path": "mail.db", **files, **options}}})


def write_run(folder, config, rank=0):
    """A finished run as training leaves it, secrets included."""
    base = config.model.path
    loaded = load_trainee(ModelConfig(path=base, lora_rank=rank), seed=1)
    train_a_little(loaded.model)
    save_model(folder / "model", loaded)
    config = config.model_copy(update={"model": config.model.model_copy(update={"lora_rank": rank})})
    (folder / "config.json").write_text(dump_config(config))
    (folder / "summary.json").write_text(json.dumps({"policies": [{"role": "trained", **REPORT}]}))
    (folder / "trajectories").mkdir()
    (folder / "trajectories" / "step-000001.jsonl").write_text("a secret\n")
    (folder / "samples.jsonl").write_text("a secret\n")
    return logits(loaded.model)


@pytest.fixture
def site(tmp_path, tokenizer):
    write_model_folder(tmp_path / "base", tokenizer)
    return tmp_path


def everything_in(folder):
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(("rank", "is_merged"), [(0, False), (0, True), (4, False), (4, True)])
def test_an_export_says_what_the_run_says_and_holds_no_mail(site, rank, is_merged):
    wanted = write_run(site / "run", make_config(site), rank)
    export_model(site / "run", site / "out", is_merged=is_merged)
    is_adapter = rank > 0 and not is_merged
    assert (site / "out" / ADAPTER_CONFIG).exists() == is_adapter
    assert b"secret" not in everything_in(site / "out")
    assert str(site).encode() not in everything_in(site / "out")
    assert {path.name for path in files_to_push(site / "out")} >= {CARD, "agent.json", "tokenizer.json"}
    if not is_adapter:
        model = AutoModelForCausalLM.from_pretrained(site / "out", local_files_only=True)
        torch.testing.assert_close(logits(model), wanted, rtol=0, atol=1e-5)
        torch.testing.assert_close(logits(load_model(site / "out").model), wanted, rtol=0, atol=1e-5)
    else:
        from peft import PeftModel

        model = PeftModel.from_pretrained(load_model(site / "base").model, site / "out")
        assert torch.equal(logits(model), wanted)


def test_the_card_tells_where_it_comes_from(site):
    write_run(site / "run", make_config(site), 4)
    export_model(site / "run", site / "adapter", is_merged=False)
    export_model(site / "run", site / "merged", is_merged=True)
    card = (site / "adapter" / CARD).read_text()
    for words in ("rank 4", "invented", "75.0% of 40", "mode `answer`", "Licence", "Privacy"):
        assert words in card
    assert "library_name: peft" in card
    assert "library_name: transformers" in (site / "merged" / CARD).read_text()


def test_a_card_on_private_mail_warns(site):
    write_run(site / "run", mailbox_config(site))
    export_model(site / "run", site / "out", is_merged=False)
    assert "trained on private mail" in (site / "out" / CARD).read_text()


def test_an_export_does_not_write_into_what_is_there(site):
    write_run(site / "run", make_config(site))
    with pytest.raises(UsageError, match="not empty"):
        export_model(site / "run", site / "base", is_merged=False)


def test_whose_mail_it_was_follows_from_the_runs(site):
    write_run(site / "invented", make_config(site))
    write_run(site / "own", mailbox_config(site))
    write_run(site / "enron", mailbox_config(site, is_public=True))
    assert [is_own_mail(site / name) for name in ("invented", "own", "enron")] == [False, True, False]
    config = make_config(site)
    later = config.model_copy(update={"model": config.model.model_copy(update={"path": site / "own"})})
    write_run(site / "later", later)
    assert is_own_mail(site / "later")
    assert is_own_mail(site / "absent")


@pytest.mark.parametrize("name", ["trajectories.jsonl", "mail.db", "notes.txt", "model.bin", "evil.py"])
def test_a_folder_with_anything_else_in_it_is_not_pushed(site, name):
    write_run(site / "run", make_config(site))
    export_model(site / "run", site / "out", is_merged=False)
    (site / "out" / name).write_text("a secret")
    with pytest.raises(UsageError, match="no part of a model"):
        files_to_push(site / "out")


def test_a_link_to_elsewhere_is_not_pushed(site):
    write_run(site / "run", make_config(site))
    export_model(site / "run", site / "out", is_merged=False)
    (site / "out" / "vocab.txt").symlink_to(site / "run" / "samples.jsonl")
    with pytest.raises(UsageError, match=r"vocab\.txt"):
        files_to_push(site / "out")


class Hub:
    """Remembers what it is given."""

    def __init__(self, error=None):
        self.error, self.created, self.uploads = error, [], []

    def create_repo(self, name, *, private, exist_ok):
        if self.error:
            raise self.error
        self.created.append((name, private))
        return f"https://hub.example/{name}"

    def upload_folder(self, *, repo_id, folder_path, allow_patterns):
        self.uploads.append((repo_id, Path(folder_path), sorted(allow_patterns)))


def test_a_push_is_private_and_names_every_file(site):
    write_run(site / "run", make_config(site))
    export_model(site / "run", site / "out", is_merged=False)
    hub = Hub()
    assert push(site / "out", "me/mine", api=hub) == "https://hub.example/me/mine"
    assert hub.created == [("me/mine", True)]
    assert hub.uploads == [("me/mine", site / "out", sorted(path.name for path in (site / "out").iterdir()))]


def test_a_hub_that_refuses_is_one_line_without_the_token(site):
    write_run(site / "run", make_config(site))
    export_model(site / "run", site / "out", is_merged=False)
    with pytest.raises(UpstreamError) as failure:
        push(site / "out", "me/mine", api=Hub(PermissionError("401 for hf_canarycanary")))
    assert "canary" not in failure.value.line()
