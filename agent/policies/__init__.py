"""Policies by name, as the command line takes them.

| spec | policy |
|---|---|
| `keywords-and` `keywords-names` `keywords-bm25` `keywords-retry` | heuristics with a perfect reader (labelled) |
| `keywords-and+local:FOLDER` .. | the same search, read by the model of that folder |
| `demonstrator` `oracle` | privileged scripts (labelled) |
| `local:FOLDER` | a run or a transformers folder, sampled in this process |
| `api:PROVIDER/MODEL` .. `openai:URL#MODEL` | a chat model behind an API (`agent.policies.chat_models`) |
"""

from __future__ import annotations

from pathlib import Path

from agent.policies.api_client import Patience
from agent.policies.chat_models import load_chat, parse_chat_spec
from agent.policies.demonstrator import demonstrator, oracle
from agent.policies.heuristics import ANY_KEYWORD, HEURISTICS
from agent.policies.scripted import Gold, ScriptedPolicy, perfect_reader
from agent.policy import Policy
from agent.terms import Terms
from agent.toolsets import Toolset
from inbox_env.env import EnvLimits
from inbox_env.errors import UsageError

LOCAL = "local:"


def load_policy(
    spec: str,
    gold: Gold | None = None,
    *,
    temperature: float = 0.0,
    seed: int = 0,
    patience: Patience | None = None,
    toolset: Toolset | None = None,
    terms: Terms | None = None,
) -> Policy:
    """Return the policy that `spec` names; `gold` are the labelled questions that privileged policies need.

    `patience` and `toolset` are a chat model's; every other policy has tools of its own. `terms` are for a local model
    in place of its card's, and for the heuristics that search in a way of their own.

    Raises UsageError for an unknown name, or when labels are needed and there are none.
    """
    if spec.startswith(LOCAL):
        return load_local(Path(spec.removeprefix(LOCAL)), temperature=temperature, seed=seed, terms=terms)
    if parse_chat_spec(spec):
        return load_chat(spec, temperature=temperature, seed=seed, patience=patience, toolset=toolset)
    search, _, reader_spec = spec.partition("+")
    if search in HEURISTICS:
        return _heuristic(search, reader_spec, gold, temperature, seed, terms)
    if spec == "demonstrator":
        return demonstrator(_labels(spec, gold), seed)
    if spec == "oracle":
        return oracle(_labels(spec, gold))
    known = ", ".join((*HEURISTICS, "demonstrator", "oracle", "local:FOLDER", "api:PROVIDER/MODEL", "openai:URL#MODEL"))
    raise UsageError(60, f"no policy named {spec!r}", next_step=f"one of {known}")


def load_local(
    path: Path, *, temperature: float = 0.0, seed: int = 0, max_rows: int = 128, terms: Terms | None = None
) -> Policy:
    """Return the model of a folder as a policy, under its card's terms or these.

    Raises UsageError without the folder or without torch.
    """
    if not path.is_dir():  # before seconds are spent on torch
        raise UsageError(64, "no model here", where=str(path), next_step="give a run or a model folder")
    try:
        from agent.policies.local import LocalPolicy
        from agent.sampling.torch_engine import TorchEngine
    except ModuleNotFoundError as error:
        raise UsageError(
            61, f"a local model needs {error.name}", next_step='pip install "mailsleuth[train]"'
        ) from error
    from agent.model_folder import load_model

    loaded = load_model(path)
    card = loaded.card
    context = min(card.max_context, loaded.model.config.max_position_embeddings)
    engine = TorchEngine(
        loaded.model,
        stop_token_ids=set(loaded.chat.stop_token_ids),
        max_rows=max_rows,
        max_context=context,
        temperature=temperature,
    )
    return LocalPolicy(
        engine,
        loaded.chat,
        prompt=(terms.prompt if terms else None) or card.prompt,
        name=f"{LOCAL}{path}",
        seed=seed,
        max_new_tokens=card.max_new_tokens,
        limits=terms.limits if terms else card.limits,
    )


def _heuristic(
    search: str, reader_spec: str, gold: Gold | None, temperature: float, seed: int, terms: Terms | None
) -> Policy:
    if not reader_spec:
        shown = terms or Terms(prompt=None, limits=EnvLimits())
        limits = shown.matching("any") if search in ANY_KEYWORD else None
        return ScriptedPolicy(search, HEURISTICS[search], perfect_reader(_labels(search, gold)), seed, limits)
    from agent.policies.local import LocalPolicy
    from agent.policies.model_reader import read_with

    model = load_policy(reader_spec, gold, temperature=temperature, seed=seed, terms=terms)
    if not isinstance(model, LocalPolicy):
        raise UsageError(62, f"{reader_spec!r} cannot read for {search}", next_step=f"write {search}+local:FOLDER")
    return read_with(search, model, model.limits or EnvLimits())


def _labels(spec: str, gold: Gold | None) -> Gold:
    if gold is None:
        raise UsageError(63, f"{spec} knows the right answers, so it needs labelled questions", next_step="--questions")
    return gold
