"""What is offered when no policy is named: runs that hold a model, and not those that have only begun."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.policies import load_policy
from inbox_env.errors import UsageError
from scripts.policy_choices import default_policy, local_policies


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the bundled base and a run that has only begun."""
    monkeypatch.chdir(tmp_path)
    for name in ("data/base/model.safetensors", "data/runs/laptop/config.json", "data/runs/laptop/lock"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_a_run_without_weights_is_not_offered(place: Path) -> None:
    assert local_policies() == ["local:data/base"]
    assert default_policy() == "local:data/base"


@pytest.mark.parametrize("weights", ["model.safetensors", "model.safetensors.index.json", "adapter_model.safetensors"])
def test_a_run_with_weights_comes_first(place: Path, weights: str) -> None:
    (place / "data/runs/laptop/model").mkdir()
    (place / "data/runs/laptop/model" / weights).touch()
    assert local_policies() == ["local:data/runs/laptop", "local:data/base"]
    assert default_policy() == "local:data/runs/laptop"


def test_a_run_that_has_not_ended_says_so(place: Path) -> None:
    with pytest.raises(UsageError, match="this run has not ended"):
        load_policy("local:data/runs/laptop")


def test_a_folder_that_is_not_there_is_named(place: Path) -> None:
    with pytest.raises(UsageError, match="no model here"):
        load_policy("local:data/runs/missing")
