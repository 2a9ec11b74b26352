"""A model as the reader of a scripted search: it sees the whole transcript as if it had acted so, and must answer.

This is how keyword heuristics are compared with a trained agent like for like: same mails, same reader.
"""

from __future__ import annotations

from agent.policies.heuristics import ANY_KEYWORD, HEURISTICS
from agent.policies.local import LocalPolicy
from agent.policies.scripted import Played, Reader, ScriptedPolicy
from inbox_env.actions import Action, Opening
from inbox_env.env import EnvLimits


def read_with(search: str, policy: LocalPolicy, limits: EnvLimits) -> ScriptedPolicy:
    """Return the heuristic `search` with `policy`'s model as its reader, under `limits`."""
    match = "any" if search in ANY_KEYWORD else limits.match
    name = f"{search}+{policy.name}"
    return ScriptedPolicy(
        name,
        HEURISTICS[search],
        model_reader(policy),
        limits=limits.model_copy(update={"match": match}),
        prompt=policy.prompt,
    )


def model_reader(policy: LocalPolicy) -> Reader:
    """Return a reader that makes `policy`'s model continue the transcript with an answer."""

    async def read_out(opening: Opening, played: Played) -> Action:
        chat = policy.chat
        token_ids = policy.prompt_ids(opening)
        for action, observation in played:
            token_ids += chat.action_ids(action)
            token_ids += chat.observation_ids([result.content for result in observation.results])
        forced = chat.call_opening_ids("return_final_answer")
        session = policy.open(opening)
        try:
            sample = await session.sample(token_ids + forced, policy.max_new_tokens)
        finally:
            session.close()
        return chat.parse(forced + sample.token_ids)

    return read_out
