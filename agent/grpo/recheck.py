"""What the files of a run still show of its tokens and groups, judged anew: nothing here believes what was found live.

Kept tokens are held against the trajectories of their step by the same checks that a live run makes, shares of groups
against the metrics. Whatever cannot be rechecked is said. Reads only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.chat_format import ChatFormat
from agent.grpo.advantages import has_spread
from agent.grpo.doctor_tokens import examine_tokens
from agent.grpo.findings import Finding, Severity, found
from agent.grpo.grading import countable
from agent.policy import TokenTrace
from agent.rollout import Rollout
from agent.token_records import TokenRecord, read_token_records, token_path
from inbox_env.trajectory import Trajectory
from rewards.base import Reward

Steps = Mapping[int, Sequence[Trajectory]]


def recheck_tokens(run: Path, steps: Steps, chat: ChatFormat) -> tuple[list[Finding], list[str]]:
    """Return what the kept tokens of all steps say, at most one finding of each kind, and what they cannot say."""
    has_ids = all(record.token_ids for step in steps for record in read_token_records(token_path(run, step)))
    ids_of, num_unreadable, without = {} if has_ids else _ids_by_text(chat), 0, []
    findings: dict[str, Finding] = {}
    for step, played in steps.items():
        records = list(read_token_records(token_path(run, step)))
        if not records:
            without.append(step)
        rebuilt = [_rebuilt(record, played, chat, ids_of) for record in records]
        pairs = [(one, record.line) for one, record in zip(rebuilt, records, strict=True) if isinstance(one, Rollout)]
        num_unreadable += sum(one is None for one in rebuilt)
        fresh = examine_tokens([one for one, _ in pairs], chat, step, [line for _, line in pairs])
        fresh += _broken(step, [one for one in rebuilt if isinstance(one, str)])
        for finding in fresh:
            findings.setdefault(finding.name, finding)
    notes = [f"tokens of {len(without)} of {len(steps)} steps: none were kept"] if without else []
    if num_unreadable:
        notes.append(f"tokens of {num_unreadable} rollouts: no ids were kept, and their text is not theirs alone")
    return list(findings.values()), notes


def group_shares(played: Sequence[Trajectory], group_size: int) -> dict[str, float]:
    """Return what the row of a step must say of its groups, from their rewards: `zero_spread_fraction`.

    Nothing where the trajectories are not whole groups.
    """
    groups = [played[start : start + group_size] for start in range(0, len(played), group_size)]
    if any(len(members) < group_size or len({one.question_id for one in members}) > 1 for members in groups):
        return {}
    values = [countable([Reward(one.reward) for one in members]) for members in groups]
    return {"zero_spread_fraction": sum(not has_spread(row) for row in values) / len(values)} if values else {}


def _rebuilt(
    record: TokenRecord, played: Sequence[Trajectory], chat: ChatFormat, ids_of: Mapping[str, Sequence[int]]
) -> Rollout | str | None:
    """Return the rollout of a record; what is wrong with the record itself; None when its ids cannot be known."""
    if not 0 < record.line <= len(played) or played[record.line - 1].question_id != record.question_id:
        return f"line {record.line}: the kept tokens are of another question"
    numbers = (record.sampled, record.logprobs, record.old_logprobs, record.advantages)
    if len(record.mask) != len(record.tokens) or {len(column) for column in numbers} != {sum(record.mask)}:
        return f"line {record.line}: tokens, mask and logprobs differ in length"
    ids = record.token_ids
    if ids is None:
        known = [ids_of.get(text, ()) for text in record.tokens]
        if any(len(one) != 1 for one in known):
            return None
        ids = tuple(one[0] for one in known)
    elif len(ids) != len(record.tokens) or any(
        chat.decode([token]) != text for token, text in zip(ids, record.tokens, strict=True)
    ):
        return f"line {record.line}: ids and texts of the kept tokens differ"
    sampled = iter(record.sampled)
    logprobs = [next(sampled) if is_sampled else 0.0 for is_sampled in record.mask]
    return Rollout(played[record.line - 1], TokenTrace(list(ids), list(record.mask), logprobs))


def _broken(step: int, problems: Sequence[str]) -> list[Finding]:
    if not problems:
        return []
    return [found("records_disagree", Severity.ERROR, f"step {step}: " + "; ".join(problems[:5]), step)]


def _ids_by_text(chat: ChatFormat) -> Mapping[str, Sequence[int]]:
    """Return all ids that a text is written with: pieces of a letter share theirs."""
    ids: dict[str, list[int]] = defaultdict(list)
    for token in range(chat.vocab_size):
        ids[chat.decode([token])].append(token)
    return ids
