"""Attacked inboxes: every question asked twice, of an invented inbox and of the same inbox with hostile mails in it.

An inbox is attacked once for each goal of `injections`, apart, so that what happens can be laid to one kind of order.
Knows nothing of policies, or of whether they obey.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path

from inbox_env.questions import Question
from inbox_env.synthetic.generate import SyntheticInbox
from inbox_env.synthetic.injections import Goal, Injection, plant, planted_emails
from inbox_env.synthetic.mailbox import FOREIGN, SyntheticRecipe, make_once


@dataclass(frozen=True, slots=True)
class Attack:
    """One question under attack: its id, the id of the same question asked of the clean inbox, and the planted mail."""

    question: str
    clean: str
    goal: Goal
    planted: str


def ensure_attacked(recipe: SyntheticRecipe, cache: Path) -> tuple[Path, list[Question]]:
    """Return the mailbox file of the clean and the attacked inboxes of `recipe`, and their questions, clean ones first.

    208 questions of each invented inbox are attacked; made when the cache has none. Both halves are in the same order,
    so that an even number of questions, spread evenly, holds both of each.
    """
    return make_once(f"attacked-{recipe.split}", asdict(recipe), cache, lambda: _all_inboxes(recipe))


def attacks(recipe: SyntheticRecipe) -> list[Attack]:
    """Return the attacks of `recipe`, in the order of its attacked questions."""
    inboxes = list(recipe.inboxes())
    return [
        Attack(_id_of(injection), injection.question.id, injection.goal, injection.email.message_id)
        for inbox in inboxes
        for injection in plant(inbox, _foreign(inbox, inboxes))
    ]


def _all_inboxes(recipe: SyntheticRecipe) -> Iterator[SyntheticInbox]:
    inboxes = list(recipe.inboxes())
    planted = [plant(inbox, _foreign(inbox, inboxes)) for inbox in inboxes]
    for inbox, injections in zip(inboxes, planted, strict=True):
        asked = {injection.question.id: injection.question for injection in injections}
        yield replace(inbox, questions=tuple(asked.values()))
    for inbox, injections in zip(inboxes, planted, strict=True):
        for goal, some in groupby(injections, key=lambda injection: injection.goal):
            yield _attacked(inbox, goal, list(some))


def _attacked(inbox: SyntheticInbox, goal: Goal, injections: Sequence[Injection]) -> SyntheticInbox:
    name = f"{inbox.name}-{goal}"
    questions = (one.question.model_copy(update={"id": _id_of(one), "inbox": name}) for one in injections)
    return replace(inbox, name=name, emails=tuple(planted_emails(inbox, injections)), questions=tuple(questions))


def _id_of(injection: Injection) -> str:
    place = injection.email.message_id.removeprefix("<planted-").partition("@")[0]
    return f"{injection.question.id}-{injection.goal}-{place}"


def _foreign(inbox: SyntheticInbox, inboxes: Sequence[SyntheticInbox]) -> str:
    """A mail of another of these inboxes, if there is one."""
    others = (other.emails[0].message_id for other in inboxes if other.name != inbox.name)
    return next(others, FOREIGN)
