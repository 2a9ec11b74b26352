"""What stands between the turns of a conversation, learnt from a chat template: a rollout then only ever appends.

Most templates append by themselves: each turn's prompt is a prefix of the next. Some rewrite earlier turns (they drop
thinking, shorten old results): for these the text between turns is learnt from renders in which nothing is dropped,
and every turn stays as it was sampled. A template whose text between turns depends on what came before is refused.
Knows nothing of tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

from agent.chat_templates import FAILURES, ChatTemplate, Message
from inbox_env.errors import UsageError

MARK = "\ue100{}\ue101"
MARKED = re.compile("\ue100(\\d+)\ue101")
_SLOT = "\ue102"
_ODD_RESULT = 'a "b"\nc'

Speak = Callable[[str], Message]


class TurnTemplate:
    """The texts of one template: `opening` (marks 0 and 1: system, user), `end` of a turn, and `glue`.

    `is_rewriting`: the template itself would rewrite earlier turns. `escapes_results`: it shows tool results as the
    inside of a JSON string.
    """

    def __init__(self, template: ChatTemplate, specials: Sequence[str], speak: Speak) -> None:
        self._template, self._speak = template, speak
        self._glues: dict[tuple[int, int], str] = {}
        self._marks = template.opening(MARK.format(0), MARK.format(1))
        self.opening = template.render(self._marks, is_open=True)
        if MARKED.findall(self.opening) != ["0", "1"]:
            raise ValueError("the template does not show system and user once")
        spoken = template.render([*self._marks, speak(_SLOT)], is_open=False)
        self.end = _first_of(specials, spoken.partition(_SLOT)[2])
        self.is_rewriting = False
        self.escapes_results = self._is_escaping()

    @property
    def cue(self) -> str:
        """What makes the policy speak."""
        return MARKED.split(self.opening)[-1]

    def glue(self, num_results: int, num_said: int = 0) -> str:
        """Return what stands between the end of a turn and the next one; marks number the results.

        With `num_said` the user speaks too, after the results; raises what the template raises when it bears no such
        thing.
        """
        key = (num_results, num_said)
        if key not in self._glues:
            self._glues[key] = self._glue_after(self._template.opening("s", "u"), num_results, num_said)
        return self._glues[key]

    def only_appends(self) -> bool:
        """Whether two turns with tool results render as what a rollout makes by appending."""
        messages, grown = self._marks, self.opening
        first = self._template.render([*messages, self._speak(_SLOT), *self._template.results(["r"])], is_open=True)
        spoken = first.removeprefix(self.opening).partition(self.end)[0]
        for said, heard in (("one", ("r", "s")), ("two", ("t",))):
            messages = [*messages, self._speak(said), *self._template.results(heard)]
            grown += spoken.replace(_SLOT, said) + self.end + fill(self.glue(len(heard)), heard)
            if self._template.render(messages, is_open=True) != grown:
                return False
        return True

    def is_steady(self) -> bool:
        """Whether what stands before and between turns is the same whatever was said before."""
        base = self._template.render(self._marks, is_open=False)
        first = self._template.render([*self._marks, self._speak(_SLOT), *self._template.results(["r"])], is_open=True)
        cue = self.opening.removeprefix(base)
        if not (self.opening.startswith(base) and first.startswith(base) and set(MARKED.findall(base)) >= {"0", "1"}):
            return False
        once = [*self._template.opening("x", "y"), self._speak("one"), *self._template.results(("r",))]
        twice = [*once, self._speak("two"), *self._template.results(("s", "t"))]
        return all(
            self._glue_after(before, count) == self.glue(count) and self.glue(count).endswith(cue)
            for before in (once[:-2], once, twice)
            for count in (1, 2)
        )

    def _glue_after(self, before: list[Message], num_results: int, num_said: int = 0) -> str:
        """Return the glue of a turn that follows `before`; raises ValueError when the render lost something."""
        marks = [MARK.format(number) for number in range(num_results + num_said)]
        replies = self._template.replies(marks[:num_results], marks[num_results:])
        speak = self._speak if num_results else self._template.said
        text = self._template.render([*before, speak(_SLOT), *replies], is_open=True)
        glue = text.partition(_SLOT)[2].partition(self.end)[2]
        if MARKED.findall(glue) != [str(number) for number in range(len(marks))]:
            raise ValueError("the template does not show every result once")
        return glue

    def _is_escaping(self) -> bool:
        start = self._template.opening("s", "u")
        text = self._template.render([*start, self._speak("x"), *self._template.results([_ODD_RESULT])], is_open=True)
        return _ODD_RESULT not in text and json.dumps(_ODD_RESULT)[1:-1] in text


def learn_chat(tokenizer: Any, enable_thinking: bool | None) -> tuple[ChatTemplate, TurnTemplate]:
    """Return a tokenizer's template and its turns, with as many of the four roles as the template can bear.

    Raises UsageError when the template fails, ends no turn, or rewrites turns in a way that cannot be undone.
    """
    where = str(tokenizer.name_or_path)
    added = (token.content for token in tokenizer.added_tokens_decoder.values() if token.special)
    specials = (*tokenizer.all_special_tokens, *added)
    refusals: list[UsageError] = []
    for has_tool_role, has_system_role in product((True, False), repeat=2):
        try:
            roles = {"has_tool_role": has_tool_role, "has_system_role": has_system_role}
            template = ChatTemplate(tokenizer, enable_thinking, **roles)
            turns = _learn_turns(template, specials)
        except FAILURES as error:
            refusals.append(_failing(error, where))
            continue
        if turns is not None and turns.end:
            return template, turns
        refusals.append(_refused(where) if turns is None else _endless(where))
    raise min(refusals, key=lambda refusal: refusal.code)  # a rewriting template is named as such, whatever else failed


def _learn_turns(template: ChatTemplate, specials: Sequence[str]) -> TurnTemplate | None:
    """Return the turns of a template (without an `end` where it has none), or None when it rewrites them.

    Turns are rendered as text, or as calls for templates that insist on them.
    """
    ends = [token for token in specials if token not in template.syntax.marks]
    learnt: list[TurnTemplate] = []
    failure: Exception | None = None
    for speak in (template.said, template.called):
        try:
            learnt.append(TurnTemplate(template, ends, speak))
        except FAILURES as error:
            failure = failure or error
    if failure and not learnt:
        raise failure
    ending = [turns for turns in learnt if turns.end]
    if not ending:
        return learnt[0]
    for turns in ending:
        if _holds(turns.only_appends):
            return turns
    for turns in ending:
        if _holds(turns.is_steady):
            turns.is_rewriting = True
            return turns
    return None


def _failing(error: Exception, where: str) -> UsageError:
    what = f"the chat template is missing or fails ({type(error).__name__})"
    next_step = "use a tokenizer whose template knows user, assistant and tool messages"
    return UsageError(42, what, where=where, next_step=next_step)


def _refused(where: str) -> UsageError:
    what = "the chat template rewrites earlier turns (no extension property)"
    next_step = "use a template in which each turn's prompt is a prefix of the next"
    return UsageError(41, what, where=where, next_step=next_step)


def _endless(where: str) -> UsageError:
    next_step = "use a template that ends what the assistant says with a special token"
    return UsageError(43, "the chat template never ends a turn", where=where, next_step=next_step)


def fill(text: str, contents: Sequence[str]) -> str:
    """Return `text` with its marks replaced by `contents`."""
    return MARKED.sub(lambda mark: contents[int(mark[1])], text)


def _holds(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except FAILURES:
        return False


def _first_of(tokens: Sequence[str], text: str) -> str:
    """Return the token that occurs first in `text` (of several that begin there, the longest), or nothing."""
    places = [(text.find(token), -len(token), token) for token in tokens if token and token in text]
    return min(places)[2] if places else ""
