"""Plans follow from their numbers, and the example files are what the commands take."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from agent.grpo.config import load_config
from inbox_env.errors import UsageError
from scripts.cli import main
from scripts.plan import CARD, MEASURED, SHAPES, plan, sample_seconds, section, train_seconds
from scripts.serve import command

CONFIGS = Path(__file__).resolve().parents[2] / "scripts" / "configs"
SMALL, LARGE = SHAPES


def test_seconds_are_operations_and_bytes_over_what_a_card_does():
    tokens = 128 * (MEASURED.prompt + MEASURED.observations + MEASURED.actions)
    assert train_seconds(SMALL, MEASURED, 128, CARD) == pytest.approx(tokens * 6 * 7.6e9 / (989e12 * 0.35))
    one = replace(MEASURED, prompt=0, observations=0, actions=1)
    assert sample_seconds(SMALL, one, 1, 1, 1, CARD) == pytest.approx(2 * 7.6e9 / (3.35e12 * 0.5))


def test_more_servers_larger_models_and_longer_answers_change_what_they_must():
    def seconds(num_servers, shape=SMALL, episode=MEASURED):
        return sample_seconds(shape, episode, 128, 8, num_servers, CARD)

    assert seconds(1) > seconds(2) > seconds(4) > seconds(1) / 4, "reading the weights is not shared"
    assert seconds(1, LARGE) > seconds(1)
    assert seconds(1, episode=replace(MEASURED, actions=1000)) > seconds(1)
    assert plan(LARGE, MEASURED).dollars > plan(SMALL, MEASURED).dollars


def test_overlapping_never_costs_more_and_the_plan_is_the_cheapest():
    for shape in SHAPES:
        found = plan(shape, MEASURED)
        assert found.dollars <= plan(shape, MEASURED, max_staleness=0).dollars
        step = max(found.train_seconds, found.sample_seconds)
        assert found.dollars == pytest.approx(
            1000 * step / 3600 * (found.num_trainers + found.num_servers) * CARD.dollars_per_hour
        )


def test_the_page_says_what_is_measured_and_what_is_not():
    text = section()
    words = " ".join(text.split())
    assert "Measured: the tokens of an episode, 968 of prompt" in words
    assert "Estimated, and not measured: everything else" in words
    assert len(re.findall(r"^\| \d+B", text, re.MULTILINE)) == 8


def test_a_server_is_started_as_the_trainer_wants_it(capsys):
    config = load_config(CONFIGS / "qwen7b.toml")
    words = command(config, port=8001)
    for pair in ("--logprobs-mode processed_logprobs", "--max-model-len 8192", "--max-lora-rank 16", "--port 8001"):
        assert pair in " ".join(words)
    assert words[:3] == ["vllm", "serve", "Qwen/Qwen2.5-7B-Instruct"]
    whole = config.model_copy(update={"model": config.model.model_copy(update={"lora_rank": 0})})
    assert "--enable-lora" not in command(whole)
    odd = config.model_copy(update={"model": config.model.model_copy(update={"lora_rank": 20})})
    assert "32" in command(odd)
    huge = config.model_copy(update={"model": config.model.model_copy(update={"lora_rank": 1000})})
    with pytest.raises(UsageError, match="rank 1000"):
        command(huge)
    assert main(["serve", "--config", str(CONFIGS / "qwen7b.toml")]) == 0
    assert capsys.readouterr().out.startswith("VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 VLLM_SERVER_DEV_MODE=1")


@pytest.mark.parametrize("name", ["skypilot.yaml", "slurm.sh", "slurm_nodes.sh"])
def test_the_example_files_are_shell_that_parses_and_name_files_that_exist(name):
    text = (CONFIGS / name).read_text()
    scripts = [text]
    if name.endswith("yaml"):
        content = yaml.safe_load(text)
        scripts = [content["setup"], content["run"]]
        assert content["envs"]["CONFIG"] == "scripts/configs/qwen7b.toml"
    for script in scripts:
        assert subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=True).stderr == ""
    for path in re.findall(r"scripts/configs/[\w.]+", text):
        assert (CONFIGS.parents[1] / path).is_file()
    assert "0.0.0.0" not in text


def test_the_model_that_is_fetched_is_the_one_of_the_configuration():
    setup = yaml.safe_load((CONFIGS / "skypilot.yaml").read_text())["setup"]
    expression = re.search(r"sed -n '(.*)' \"\$CONFIG\"", setup)[1]
    done = subprocess.run(["sed", "-n", expression, str(CONFIGS / "qwen7b.toml")], capture_output=True, text=True)
    assert done.stdout.strip() == str(load_config(CONFIGS / "qwen7b.toml").model.path)
