"""The chat models that write and prove questions, with one budget for both.

Knows nothing of what they are asked.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.patient_model import Budget, PatientModel, Role, Slots
from agent.policies.api_client import MAX_TOKENS, Patience
from agent.policies.chat_models import load_chat
from rewards.judge_cache import JudgeCache

WRITER = Role(
    "question writer",
    calls_option="--max-calls",
    cost_option="--budget",
    tokens_option="--max-tokens",
    resume="run it again: it goes on where it stopped",
    mend="see to it and run it again: it goes on where it stopped",
)
TEMPERATURE = 0.7  # of the writer, so that batches of like mails differ; the solver has none


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How long calls are waited for, how many are made and how long a reply may be; None: without end."""

    call_seconds: float = 120.0
    retry_seconds: float = 180.0
    pause_seconds: float = 600.0
    concurrency: int = 8
    max_tokens: int = MAX_TOKENS
    max_calls: int | None = None
    max_cost: float | None = None


def make_models(
    writer: str, solver: str, ledger: JudgeCache, limits: CallLimits, *, seed: int = 0
) -> tuple[PatientModel, PatientModel]:
    """Return the models that two chat specs name; raises UsageError or UpstreamError as `load_chat`."""
    budget, slots = Budget(ledger, WRITER, limits.max_calls, limits.max_cost), Slots(limits.concurrency)
    return (
        _make(writer, "writing", TEMPERATURE, budget, slots, limits, seed),
        _make(solver, "proving", 0.0, budget, slots, limits, seed),
    )


def _make(
    spec: str, task: str, temperature: float, budget: Budget, slots: Slots, limits: CallLimits, seed: int
) -> PatientModel:
    client, patient = (
        load_chat(
            spec,
            temperature=temperature,
            seed=seed,
            patience=Patience(limits.call_seconds, budget_seconds),
            max_tokens=limits.max_tokens,
        ).client
        for budget_seconds in (limits.retry_seconds, limits.pause_seconds)
    )
    name = f"{client.model}, {task}"  # part of the key of what it said
    return PatientModel(client, patient, budget, WRITER, name=name, slots=slots)
