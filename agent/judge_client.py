"""The judge that a configuration names: a patient model behind any API that litellm reaches.

Knows nothing of what is judged.
"""

from __future__ import annotations

from agent.judge_config import JudgeConfig
from agent.patient_model import Budget, PatientModel, Role, Slots
from agent.policies.api import make_client
from agent.policies.api_client import Patience
from inbox_env.errors import UsageError
from rewards.judge_cache import JudgeCache

JUDGE = Role(
    "judge",
    calls_option="judge.max_calls",
    cost_option="judge.max_cost",
    tokens_option="judge.max_tokens",
    resume="go on with --resume; what was judged is kept",
    mend="see to the judge and resume the run",
)


def make_judge_model(config: JudgeConfig, ledger: JudgeCache) -> PatientModel:
    """Return the judge that `config` names; raises UsageError when litellm or the price it needs is missing."""
    if config.model is None:
        raise UsageError(76, "no judge is named", next_step='set judge.model, such as "openai/NAME"')
    retrying = Patience(config.call_seconds, config.retry_seconds)
    pausing = Patience(config.call_seconds, config.pause_seconds)
    client, patient = (
        make_client(config.model, base_url=config.api_base, max_tokens=config.max_tokens, patience=patience)
        for patience in (retrying, pausing)
    )
    if config.max_cost is not None and not client.is_priced():
        next_step = "set judge.max_calls in place of judge.max_cost"
        raise UsageError(77, "no price is known for the judge", where=config.model, next_step=next_step)
    name = f"{config.model} at {config.api_base}" if config.api_base else config.model
    budget = Budget(ledger, JUDGE, config.max_calls, config.max_cost)
    return PatientModel(client, patient, budget, JUDGE, name=name, slots=Slots(config.concurrency))
