"""The training configuration: hand-written TOML in, one frozen and fully documented object out.

Every key has its meaning under it; an unknown key or a value of the wrong kind is refused by name. Knows nothing
of how the loop uses them.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from agent.grpo.guards import GuardsConfig
from agent.grpo.loss import LossConfig
from agent.grpo.section import Section
from agent.grpo.step_config import GrpoConfig
from agent.judge_config import JudgeConfig, RewardConfig
from agent.model_config import ModelConfig
from agent.sampling.config import SamplingConfig
from inbox_env.env import EnvLimits
from inbox_env.errors import UsageError
from inbox_env.rendering import ResultStyle

NAME_FORM = "only letters, digits, '.', '_' and '-', a letter or digit first"


class RunConfig(Section):
    """What the run is called and where it goes."""

    name: str = Field(default="run", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the run folder inside `out`."""
    out: Path = Path("data/runs")
    """Folder that holds run folders."""
    seed: int = Field(default=0, ge=0)
    """Seed of every random stream; the same seed and configuration give the same run on one machine."""
    checkpoint_every: int = Field(default=10, ge=1)
    """Write a checkpoint every so many steps, and at the end."""
    keep_checkpoints: int = Field(default=2, ge=1)
    """Keep this many of the newest checkpoints."""
    save_trajectories: bool = True
    """Keep every step's trajectories with their rewards, to be looked at afterwards."""
    kept_token_groups: int = Field(default=1, ge=0)
    """With them, keep so many groups of each step token by token (logprobs, advantage, mask), for `mailsleuth view`."""
    survive_full_disk: bool = False
    """Train on, with a warning, when a checkpoint cannot be written; the last one of a run must be."""
    max_memory_gb: float | None = Field(default=None, gt=0)
    """Refuse to start when more memory is estimated to be needed than this: on a card by its process, else by all
    processes of the machine together."""
    peer_seconds: float = Field(default=1800.0, gt=0)
    """Under torchrun: how long a process waits for another before the run ends; an evaluation, which the first makes
    alone, must not take longer."""


class InboxesConfig(Section):
    """Synthetic inboxes of one split."""

    seeds: tuple[int, ...] = Field(min_length=1)
    """One generated inbox per seed."""
    num_emails: int = Field(default=800, ge=1)
    """Mails in each inbox."""
    num_questions: int = Field(default=400, ge=1)
    """Questions asked of each inbox."""

    @model_validator(mode="after")
    def _seeds_differ(self) -> InboxesConfig:
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("a seed appears twice")
        return self


class SyntheticConfig(Section):
    """Synthetic inboxes; names and topics of the three splits never overlap."""

    train: InboxesConfig
    """Inboxes that are trained on."""
    dev: InboxesConfig
    """Inboxes that are evaluated on during the run."""
    test: InboxesConfig
    """Inboxes that are evaluated on once, at the end."""


class MailboxConfig(Section):
    """Real mail: an imported mailbox and question files whose inboxes never overlap."""

    path: Path
    """Mailbox made by `mailsleuth import`."""
    train: Path
    """Questions that are trained on."""
    dev: Path
    """Questions that are evaluated on during the run, about other inboxes."""
    test: Path
    """Questions that are evaluated on once, at the end, about other inboxes again."""
    is_public: bool = False
    """The mail is public, such as Enron's: a model trained on it may be pushed to the hub without further consent."""


class DataConfig(Section):
    """Where mail and questions come from: exactly one of the two."""

    synthetic: SyntheticConfig | None = None
    """Generated inboxes."""
    mailbox: MailboxConfig | None = None
    """An imported mailbox."""
    injected: float = Field(default=0.0, ge=0, le=1)
    """Share of the generated training questions beside whose answer a hostile mail stands that gives orders to whoever
    reads it; of those that one mail answers. Dev and test stay clean."""

    @model_validator(mode="after")
    def _one_source(self) -> DataConfig:
        if (self.synthetic is None) == (self.mailbox is None):
            raise ValueError("give either data.synthetic or data.mailbox")
        if self.injected and self.synthetic is None:
            raise ValueError("data.injected goes with data.synthetic: nothing is planted into imported mail")
        return self


class EnvConfig(Section):
    """Limits of one episode, and how much tool results show."""

    max_turns: int = Field(default=8, ge=1)
    """Turns after which the episode ends."""
    max_invalid_calls: int = Field(default=3, ge=1)
    """Invalid calls after which the episode ends."""
    hits_per_page: int = Field(default=5, ge=1, le=50)
    """Search hits shown on a page."""
    snippet_chars: int = Field(default=0, ge=0)
    """Characters shown around the matched words of a hit; 0 shows sender and subject only."""
    page_chars: int = Field(default=1200, ge=100)
    """Characters of a mail's body on one page."""
    show_addresses: bool = False
    """Show e-mail addresses beside names."""
    show_thread: bool = False
    """Show the numbers of the mails of a mail's thread."""
    result_chars: int | None = Field(default=None, ge=400)
    """Most characters of one tool result; without it there is no limit. One token is 3.3 characters of real mail on
    average and 2 at worst to Qwen's tokenizers, 1.8 to the bundled model's."""
    episode_seconds: float = Field(default=60.0, gt=0)
    """Deadline of one episode."""

    def limits(self) -> EnvLimits:
        """Return these limits as the environment takes them."""
        style = ResultStyle(**self.model_dump(include=set(ResultStyle.model_fields)))
        return EnvLimits(max_turns=self.max_turns, max_invalid_calls=self.max_invalid_calls, style=style)


class EvalConfig(Section):
    """Evaluation on held-out inboxes."""

    every: int = Field(default=20, ge=0)
    """Evaluate on dev questions every so many steps; 0: only before and after."""
    num_questions: int = Field(default=200, ge=1)
    """Dev questions of one evaluation."""
    num_test_questions: int = Field(default=300, ge=1)
    """Test questions of the final evaluation."""
    temperature: float = Field(default=0.0, ge=0)
    """Temperature of evaluation; 0 takes the likeliest token."""


class WarmStartConfig(Section):
    """Supervised training on demonstrations, before reinforcement learning."""

    source: Literal["demonstrator", "recall", "own", "file"] = "demonstrator"
    """Whose episodes: the demonstrator's, who searches names and knows where the gold mails are; those of one for
    known-item questions, who searches words that find the mail; the model's own that earned enough; or those of
    `files` that did, such as episodes played by hand in the page."""
    files: tuple[Path, ...] = ()
    """file: trajectory files that `mailsleuth play`, `bench` or `train` wrote. Their calls are played again in the
    training inboxes, under this run's prompt, tools and limits; what is not the same there is left out and counted."""
    steps: int = Field(default=0, ge=0)
    """Optimiser steps; 0 for a model that already acts well enough to earn some rewards."""
    min_reward: float = 1.0
    """own, file: least reward of an episode that is imitated."""
    num_questions: int = Field(default=200, ge=1)
    """own: training questions played in a round, grpo.group_size times each."""
    rounds: int = Field(default=1, ge=1)
    """own: how often the model plays anew; the steps are shared out among the rounds."""
    learning_rate: float = Field(default=5e-4, gt=0)
    """Learning rate at its start; it falls to zero."""

    @model_validator(mode="after")
    def _files_go_with_their_source(self) -> WarmStartConfig:
        if bool(self.files) != (self.source == "file"):
            raise ValueError('warm_start.source = "file" and warm_start.files go together')
        return self

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 1: it falls linearly to zero."""
        return self.learning_rate * (1 - (step - 1) / self.steps)


class ControlConfig(Section):
    """Further supervised training of the base for the same wall time, to compare with."""

    learning_rate: float = Field(default=5e-4, gt=0)
    """Learning rate at its start; it falls to zero."""


class TrainConfig(Section):
    """A whole training run."""

    run: RunConfig = RunConfig()
    """What the run is called and where it goes."""
    model: ModelConfig = ModelConfig()
    """The model that is trained."""
    data: DataConfig
    """Where mail and questions come from."""
    env: EnvConfig = EnvConfig()
    """Limits of one episode."""
    reward: RewardConfig = RewardConfig()
    """What each outcome is worth."""
    judge: JudgeConfig = JudgeConfig()
    """Who judges answers that no rule decides, and ranks rollouts."""
    sampling: SamplingConfig = SamplingConfig()
    """How the policy is sampled in training."""
    grpo: GrpoConfig = GrpoConfig()
    """The optimiser step."""
    loss: LossConfig = LossConfig()
    """Which loss, and how far one update may go."""
    guards: GuardsConfig = GuardsConfig()
    """When an update is not made, and when a run warns or stops."""
    eval: EvalConfig = EvalConfig()
    """Evaluation on held-out inboxes."""
    warm_start: WarmStartConfig = WarmStartConfig()
    """Imitation before reinforcement learning."""
    control: ControlConfig = ControlConfig()
    """The supervised control of `mailsleuth train --control`."""
    track: Literal["none", "wandb", "tensorboard"] = "none"
    """Where metrics go besides the run folder."""

    @model_validator(mode="after")
    def _an_episode_fits(self) -> TrainConfig:
        if self.sampling.max_context > self.grpo.micro_batch_tokens:
            raise ValueError("grpo.micro_batch_tokens must hold an episode of sampling.max_context tokens")
        if self.sampling.max_new_tokens >= self.sampling.max_context:
            raise ValueError("sampling.max_context must be larger than sampling.max_new_tokens")
        if self.grpo.max_staleness and self.sampling.engine != "vllm":
            raise ValueError('grpo.max_staleness needs sampling.engine = "vllm": one model cannot sample and train')
        if self.grpo.strategy == "shard" and self.model.loader == "unsloth":
            raise ValueError('grpo.strategy = "shard" needs model.loader = "transformers": unsloth knows no shards')
        if self.reward.kind == "ruler" and self.judge.model is None:
            raise ValueError('reward.kind = "ruler" needs a judge: set judge.model')
        if self.grpo.overlong_tokens >= self.sampling.max_context:
            raise ValueError("grpo.overlong_tokens must be less than sampling.max_context")
        return self

    @property
    def max_sampled_tokens(self) -> int:
        """The most tokens that one episode can sample."""
        return min(self.env.max_turns * self.sampling.max_new_tokens, self.sampling.max_context)


def load_config(path: Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """Return the configuration of a TOML file, with `section.key=value` overrides applied on top.

    Paths in it are relative to the working directory. Raises UsageError naming the first bad key.
    """
    content = _read_toml(path)
    for override in overrides:
        _apply(content, override)
    try:
        return TrainConfig.model_validate_json(json.dumps(content, default=str), strict=True)
    except ValidationError as error:
        raise _bad_key(error, path, overrides) from error


def dump_config(config: TrainConfig) -> str:
    """Return the resolved configuration as JSON; `TrainConfig.model_validate_json` reads it back."""
    return json.dumps(config.model_dump(mode="json"), indent=1) + "\n"


def known_keys(model: type[BaseModel] = TrainConfig, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted key, meaning) of every field, sections before their fields."""
    for name, field in model.model_fields.items():
        yield prefix + name, field.description or ""
        for section in _sections(field.annotation):
            yield from known_keys(section, f"{prefix}{name}.")


def _sections(annotation: Any) -> list[type[BaseModel]]:
    kinds = getattr(annotation, "__args__", None) or (annotation,)
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(50, "no such configuration", where=str(path), next_step="see scripts/configs") from error
    except OSError as error:
        what, next_step = f"cannot read the configuration: {error.strerror}", "name a TOML file that may be read"
        raise UsageError(51, what, where=str(path), next_step=next_step) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        what, next_step = f"the configuration is not TOML: {error}", "mend it, or name one as in scripts/configs"
        raise UsageError(52, what, where=str(path), next_step=next_step) from error


def _apply(content: dict[str, Any], override: str) -> None:
    key, is_set, text = override.partition("=")
    *sections, name = key.strip().split(".")
    if not is_set or not all((*sections, name)):
        raise UsageError(53, f"not an override: {override}", next_step="write section.key=value")
    for section in sections:
        content = content.setdefault(section, {})
        if not isinstance(content, dict):
            raise UsageError(53, f"not an override: {override}", next_step=f"{section} is not a section")
    content[name] = _toml_value(text.strip())


def _toml_value(text: str) -> Any:
    """Return `text` as TOML reads it, or as a plain string: no quotes are needed on the command line."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _bad_key(error: ValidationError, path: Path, overrides: Sequence[str]) -> UsageError:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    where = next((f"--set {one.partition('=')[0]}" for one in reversed(overrides) if _sets(one, key)), str(path))
    if first["type"] == "extra_forbidden":
        return UsageError(54, f"unknown key {key}", where=where, next_step=_nearest(key))
    is_name = first["type"] == "string_pattern_mismatch"  # the one key with a pattern
    reason = NAME_FORM if is_name else first["msg"].removeprefix("Value error, ")
    return UsageError(55, f"{key}: {reason}" if key else reason, where=where, next_step="see README, Configuration")


def _sets(override: str, key: str) -> bool:
    """Whether an override wrote the value, or the section, that `key` is of."""
    name = override.partition("=")[0].strip()
    return bool(key) and (key == name or key.startswith(f"{name}.") or name.startswith(f"{key}."))


def _nearest(key: str) -> str:
    """Return a hint: a like name in the key's own section, else the same or a like name elsewhere."""
    known = [name for name, _ in known_keys()]
    section, _, name = key.rpartition(".")
    siblings = {other.rpartition(".")[2]: other for other in known if other.rpartition(".")[0] == section}
    if near := difflib.get_close_matches(name, siblings, 1, cutoff=0.7):
        return f"did you mean {siblings[near[0]]}?"
    anywhere = {other.rpartition(".")[2]: other for other in known}
    near = difflib.get_close_matches(name, anywhere, 1, cutoff=0.7)
    return f"did you mean {anywhere[near[0]]}?" if near else "see README, Configuration"
