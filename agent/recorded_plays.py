"""Imitating episodes that were recorded: those played by hand in the page, or by whoever played well in a benchmark.

A file says which calls were made; what those calls give is asked of the run's own inboxes again, so that prompt, tools,
rendering and limits are the run's. What cannot be played again as it was, and what was not right, is left out and
counted. Words beside the calls are not imitated. Knows nothing of who played.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agent.arena import Arena
from agent.chat_format import ChatFormat
from agent.policies.scripted import Script, ScriptedPolicy, perfect_reader
from agent.policy import TokenTrace
from agent.prompts import system_prompt
from agent.rollout import rollout
from agent.sft import trace_of
from inbox_env.actions import Action, StopReason, ToolCall
from inbox_env.errors import UsageError
from inbox_env.inbox import Inbox
from inbox_env.questions import Question
from inbox_env.rendering import ResultStyle
from inbox_env.tools import tool_schemas
from inbox_env.trajectory import ToolResultRecord, Trajectory, Turn

_THREAD = re.compile(r"^Thread: (.*)", re.MULTILINE)
_MAX_DIGITS = 9
_ENDS = (StopReason.ANSWERED, StopReason.GAVE_UP)


class LeftOut(StrEnum):
    """Why a recorded episode is not imitated."""

    NO_EPISODE = "no episode (a torn line?)"
    NO_REWARD = "without a reward"
    LOW_REWARD = "earned too little"
    NO_ANSWER = "without an answer"
    OTHER_INBOX = "of an inbox that is not trained on"
    UNKNOWN_TOOL = "calls an unknown tool"
    NO_RESULTS = "without the results of its calls"
    CHANGED = "finds other mail or fails in this run's inbox"
    NOT_SHOWN = "opens or cites mail that this run does not show before"
    TOO_LONG = "too long for this run"


class _NotImitable(Exception):
    def __init__(self, why: LeftOut) -> None:
        super().__init__(why.value)
        self.why = why


@dataclass(frozen=True, slots=True)
class TokenLimits:
    """Tokens of a whole episode and of one turn that the run can sample."""

    max_context: int
    max_new_tokens: int


@dataclass(slots=True)
class Selection:
    """What is imitated, and how many lines are not, by reason."""

    traces: list[TokenTrace] = field(default_factory=list)
    left_out: Counter[LeftOut] = field(default_factory=Counter)

    def line(self) -> str:
        """Return how many there were and what became of them, in one line."""
        num_lines = len(self.traces) + self.left_out.total()
        text = f"{len(self.traces)} of {num_lines} recorded episodes are imitated"
        reasons = ", ".join(f"{count} {why.value}" for why, count in self.left_out.most_common())
        return f"{text}; left out: {reasons}" if reasons else text


def select_plays(
    files: Sequence[Path], arena: Arena, chat: ChatFormat, *, prompt: str, min_reward: float, limits: TokenLimits
) -> Selection:
    """Return the traces of the episodes in `files` that earned `min_reward`, as this run would have played them.

    Raises UsageError for a file that cannot be read or holds no episode at all, and when nothing is left to imitate.
    """
    selection = Selection()
    for path in files:
        for played in _episodes(path, selection.left_out):
            try:
                _check(played, arena, min_reward)
                selection.traces.append(asyncio.run(_play_again(played, arena, chat, prompt, limits)))
            except _NotImitable as left_out:
                selection.left_out[left_out.why] += 1
    if not selection.traces:
        what = f"no recorded episode can be imitated: {selection.line()}"
        raise UsageError(69, what, where="warm_start.files", next_step="play some on training inboxes, see README")
    return selection


def check_files(files: Sequence[Path]) -> None:
    """Raise UsageError for a file that cannot be read or holds no episode at all."""
    for path in files:
        next(_episodes(path, Counter()))


def _episodes(path: Path, left_out: Counter[LeftOut]) -> Iterator[Trajectory]:
    """Yield the episodes of a file, counting the lines that are none; a file of nothing else is the wrong one."""
    num_read = 0
    try:
        with path.open("rb") as file:
            for line in filter(bytes.strip, file):
                try:
                    played = Trajectory.model_validate_json(line)
                except ValidationError:
                    left_out[LeftOut.NO_EPISODE] += 1
                    continue
                num_read += 1
                yield played
    except OSError as error:
        what = f"cannot read the recorded episodes: {error.strerror}"
        raise UsageError(90, what, where=str(path), next_step="see warm_start.files") from error
    if not num_read:
        next_step = "give a file that play, bench or train wrote"
        raise UsageError(91, "no recorded episode in this file", where=str(path), next_step=next_step)


def _check(played: Trajectory, arena: Arena, min_reward: float) -> None:
    """Raise what the record alone tells against imitating it."""
    results = [result for turn in played.turns for result in turn.results]
    known_tools = {schema["function"]["name"] for schema in tool_schemas()}
    called = {result.name for result in results if result.arguments is not None}
    for is_so, why in (
        (played.reward is None, LeftOut.NO_REWARD),
        (played.reward is not None and not played.reward >= min_reward, LeftOut.LOW_REWARD),
        (played.stop_reason not in _ENDS, LeftOut.NO_ANSWER),
        (played.inbox not in {question.inbox for question in arena.questions}, LeftOut.OTHER_INBOX),
        (bool(called - known_tools), LeftOut.UNKNOWN_TOOL),
        (not played.turns or any(not _has_results(turn) for turn in played.turns), LeftOut.NO_RESULTS),
    ):
        if is_so:
            raise _NotImitable(why)


def _has_results(turn: Turn) -> bool:
    return bool(turn.results) and all(result.content for result in turn.results)


async def _play_again(
    played: Trajectory, arena: Arena, chat: ChatFormat, prompt: str, limits: TokenLimits
) -> TokenTrace:
    """Return the tokens of the same calls in the run's inbox; raises what makes it another episode there."""
    inbox = arena.inbox(played.inbox)
    turns = _calls(played, inbox)
    if len(turns) > arena.limits.max_turns:
        raise _NotImitable(LeftOut.TOO_LONG)

    def script(*_: object) -> Script:
        for calls in turns:
            yield Action(calls)

    env = arena.env(_question(played, arena))
    opening = env.opening()
    again = (await rollout(ScriptedPolicy(played.policy, script, perfect_reader({})), env)).trajectory
    if not _is_same(played, again):
        raise _NotImitable(LeftOut.CHANGED)
    if not _is_shown(again, inbox, arena.limits.style):
        raise _NotImitable(LeftOut.NOT_SHOWN)
    trace = trace_of(again, chat.prompt_ids(system_prompt(prompt, opening), opening.question), chat)
    said = "".join(map(str, trace.action_mask)).split("0")
    if len(trace.token_ids) > limits.max_context or max(map(len, said)) > limits.max_new_tokens:
        raise _NotImitable(LeftOut.TOO_LONG)
    return trace


def _calls(played: Trajectory, inbox: Inbox) -> list[tuple[ToolCall, ...]]:
    """Return the calls of each turn, mails by the numbers that results show.

    Without those that failed: a mistake is not imitated.
    """

    def call(result: ToolResultRecord) -> ToolCall:
        arguments = dict(result.arguments or {})
        if "id" in arguments:
            arguments["id"] = _number(arguments["id"], inbox)
        if isinstance(arguments.get("sources"), list):
            arguments["sources"] = [_number(ref, inbox) for ref in arguments["sources"]]
        return ToolCall(result.name, arguments)

    turns = (
        tuple(call(one) for one in turn.results if one.arguments is not None and not one.is_error)
        for turn in played.turns
    )
    return [calls for calls in turns if calls]


def _number(ref: Any, inbox: Inbox) -> Any:
    """Return the number of the mail that `ref` names; what names none stays, for the tools to refuse."""
    if isinstance(ref, str) and ref.strip().isdecimal() and len(ref.strip()) <= _MAX_DIGITS:
        ref = int(ref)
    mail = inbox.read(ref, as_of=None) if isinstance(ref, int | str) else None
    return ref if mail is None else mail.number


def _question(played: Trajectory, arena: Arena) -> Question:
    """Return the question; one that is not among the training questions needs no label to be played."""
    known = arena.gold.get(played.question_id)
    if known is not None and (known.inbox, known.question) == (played.inbox, played.question):
        return known
    return Question(
        id=played.question_id,
        inbox=played.inbox,
        question=played.question,
        asked_on=played.asked_on,
        answerable=False,
        kind="unanswerable",
    )


def _is_same(played: Trajectory, again: Trajectory) -> bool:
    """Return whether the same mails were opened and cited, without an error, to the same end."""
    if (played.stop_reason, played.answer, played.sources) != (again.stop_reason, again.answer, again.sources):
        return False
    return _opened(played) == _opened(again) and not any(result.is_error for result in _results(again))


def _opened(played: Trajectory) -> list[tuple[str, ...]]:
    return [result.opened for result in _results(played) if not result.is_error and result.arguments is not None]


def _results(played: Trajectory) -> list[ToolResultRecord]:
    return [result for turn in played.turns for result in turn.results]


def _is_shown(again: Trajectory, inbox: Inbox, style: ResultStyle) -> bool:
    """Return whether all that a turn opens or cites had been listed, opened or, in its thread, numbered before."""
    shown: set[str] = set()
    numbers: set[str] = set()
    for turn in again.turns:
        for ref in (ref for result in turn.results for ref in _refs(result)):
            mail = inbox.read(ref, as_of=None)
            if mail is None or not (mail.email.message_id in shown or str(ref) in numbers):
                return False
        for result in turn.results:
            shown.update(result.listed, result.opened)
            if style.show_thread and result.opened:
                numbers.update(number for line in _THREAD.findall(result.content) for number in line.split(", "))
    return True


def _refs(result: ToolResultRecord) -> list[int | str]:
    arguments = result.arguments or {}
    return [arguments["id"]] if "id" in arguments else list(arguments.get("sources", ()))
