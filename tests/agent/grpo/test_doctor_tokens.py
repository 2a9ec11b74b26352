"""The tokens that are trained on are held against the text: every way in which they can differ is found."""

from __future__ import annotations

import asyncio
from copy import deepcopy

import pytest

from agent.chat_format import ChatFormat
from agent.grpo.doctor_tokens import examine_tokens, mask_problems, token_problems
from agent.grpo.recheck import recheck_tokens
from agent.policies.local import LocalPolicy
from agent.rollout import Rollout, rollout_many
from agent.token_records import TokenRecord, token_path, write_token_records
from inbox_env.actions import Action, StopReason, ToolCall
from tests.agent.tiny import ScriptedEngine


@pytest.fixture(scope="module")
def rollout(arena, chat):
    """An episode of two searches and an answer, sampled token by token."""
    calls = [
        ToolCall("search_emails", {"keywords": ["meeting"]}),
        ToolCall("search_emails", {"keywords": ["budget"]}),
        ToolCall("return_final_answer", {"answer": "Monday", "sources": []}),
    ]
    return played(arena, chat, [chat.action_ids(Action((call,))) for call in calls])


def played(arena, chat, turns, max_new_tokens=200):
    policy = LocalPolicy(ScriptedEngine(turns), chat, prompt="laptop", max_new_tokens=max_new_tokens)
    (found,) = asyncio.run(rollout_many(policy, arena.envs(arena.questions[:1])))
    return found


def problems(rollout, chat):
    return [
        *mask_problems(rollout.trace, rollout.trajectory, chat),
        *token_problems(rollout.trace, rollout.trajectory, chat),
    ]


def test_an_honest_rollout_has_no_problems(rollout, chat):
    assert rollout.trajectory.stop_reason is StopReason.ANSWERED
    assert len(rollout.trajectory.turns) == 3
    assert problems(rollout, chat) == []
    assert examine_tokens([rollout], chat, 1) == []


def test_rollouts_that_say_nonsense_or_are_cut_are_honest_too(arena, chat):
    nonsense = chat.plain_ids("what is that") + sorted(chat.stop_token_ids)[:1]
    broken = chat.plain_ids("<tool_call>{oops</tool_call>") + sorted(chat.stop_token_ids)[:1]
    for turns, max_new_tokens in (([nonsense, broken, nonsense], 100), ([nonsense * 30], 40)):
        found = played(arena, chat, turns, max_new_tokens)
        assert problems(found, chat) == []
    assert found.trajectory.stop_reason is StopReason.MAX_TOKENS


def test_an_episode_that_an_outage_ended_is_honest_too(arena, chat):
    search = chat.action_ids(Action((ToolCall("search_emails", {"keywords": ["a"]}),)))
    found = played(arena, chat, [search, RuntimeError("gone")])
    assert found.trajectory.stop_reason is StopReason.ERROR
    assert problems(found, chat) == []


def first(trace, value):
    return trace.action_mask.index(value)


def shift_mask(trace, _):
    trace.action_mask = [0, *trace.action_mask[:-1]]


def mask_everything(trace, _):
    trace.action_mask = [1] * len(trace.action_mask)


def mask_the_prompt_too(trace, _):
    trace.action_mask[first(trace, 1) - 1] = 1


def forget_the_last_token(trace, _):
    trace.action_mask[-1] = 0


def change_a_sampled_token(trace, chat):
    place = first(trace, 1) + 1
    trace.token_ids[place] = chat.plain_ids("Z")[-1]


def change_an_observation(trace, chat):
    place = trace.action_mask.index(0, first(trace, 1))
    trace.token_ids[place + 3] = chat.plain_ids("Z")[-1]


def change_the_prompt(trace, chat):
    trace.token_ids[: first(trace, 1)] = chat.plain_ids("x" * first(trace, 1))[: first(trace, 1)]


def lose_a_logprob(trace, _):
    trace.logprobs.pop()


def promise_too_much(trace, _):
    trace.logprobs[-1] = 0.5


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (shift_mask, "masks_differ_from_text"),
        (mask_everything, "masks_differ_from_text"),
        (mask_the_prompt_too, "masks_differ_from_text"),
        (forget_the_last_token, "masks_differ_from_text"),
        (change_a_sampled_token, "masks_differ_from_text"),
        (lose_a_logprob, "masks_differ_from_text"),
        (promise_too_much, "masks_differ_from_text"),
        (change_an_observation, "tokens_not_rederivable"),
        (change_the_prompt, "tokens_not_rederivable"),
    ],
)
def test_every_damage_is_found_with_the_line(rollout, chat, damage, name):
    trace = deepcopy(rollout.trace)
    damage(trace, chat)
    findings = examine_tokens([rollout, Rollout(rollout.trajectory, trace)], chat, 4)
    assert name in [finding.name for finding in findings]
    assert all("line 2" in finding.evidence and "line 1" not in finding.evidence for finding in findings)
    assert all(rollout.trajectory.question not in finding.evidence for finding in findings)


def test_a_record_that_was_rewritten_is_found(rollout, chat):
    turns = list(rollout.trajectory.turns)
    result = turns[1].results[0].model_copy(update={"arguments": {"keywords": ["other"]}})
    turns[1] = turns[1].model_copy(update={"results": (result,)})
    changed = rollout.trajectory.model_copy(update={"turns": tuple(turns)})
    assert list(mask_problems(rollout.trace, changed, chat)) == [
        "turn 2: the tokens say something else than the record"
    ]


@pytest.mark.parametrize("has_ids", [True, False])
def test_kept_tokens_are_rechecked_by_their_ids_or_by_their_text(rollout, chat, tmp_path, has_ids):
    """Records of before hold no ids: the text of a token says which it is, unless several are written so."""
    trace, steps = rollout.trace, {1: [rollout.trajectory]}
    numbers = [logprob for logprob, is_sampled in zip(trace.logprobs, trace.action_mask, strict=True) if is_sampled]
    values = dict.fromkeys(("sampled", "logprobs", "old_logprobs", "advantages"), tuple(numbers))

    def recheck(mask):
        record = TokenRecord(
            line=1,
            question_id=rollout.trajectory.question_id,
            tokens=tuple(chat.decode([token]) for token in trace.token_ids),
            mask=tuple(mask),
            token_ids=tuple(trace.token_ids) if has_ids else None,
            **values,
        )
        write_token_records(token_path(tmp_path, 1), [record])
        findings, notes = recheck_tokens(tmp_path, steps, chat)
        return [finding.name for finding in findings], notes

    assert recheck(trace.action_mask) == ([], [])
    assert recheck([*trace.action_mask[1:], 0]) == (["masks_differ_from_text", "tokens_not_rederivable"], [])
    assert recheck(trace.action_mask[1:]) == (["records_disagree"], [])


@pytest.mark.parametrize("name", ["qwen2.5-instruct", "qwen3"])
def test_episodes_in_the_format_of_a_chat_model_are_honest(shared_data, arena, name):
    chat = ChatFormat.load(shared_data / "tokenizers" / name)
    policy = LocalPolicy(ScriptedEngine([]), chat, prompt="default", max_new_tokens=400)
    calls = [
        ToolCall("search_emails", {"keywords": ["meeting", "<|im_end|>"]}),
        ToolCall("return_final_answer", {"answer": "Zoë's <tool_call>", "sources": []}),
    ]
    policy.engine.scripts = [[chat.action_ids(Action((call,))) for call in calls]]
    (found,) = asyncio.run(rollout_many(policy, arena.envs(arena.questions[:1])))
    assert found.trajectory.stop_reason is StopReason.ANSWERED
    assert problems(found, chat) == []
    broken = deepcopy(found.trace)
    shift_mask(broken, chat)
    assert problems(Rollout(found.trajectory, broken), chat)
