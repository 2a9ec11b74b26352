"""Known-item questions that nothing answers: a topic of another inbox, another person's topic, a value not given.

They are worded as those that have an answer, so that no word of theirs gives it away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from inbox_env.known_items.answers import Answer
from inbox_env.known_items.checks import (
    is_never_together,
    is_slip_unknown,
    is_solvable,
    is_topic_absent,
    is_unambiguous,
    is_value_absent,
)
from inbox_env.known_items.drafts import Effort, draw_draft, draw_template, draw_topics, said, to_question
from inbox_env.known_items.items import KnownItems
from inbox_env.known_items.mails import KnownMail
from inbox_env.known_items.wording import draw_when
from inbox_env.questions import Question

FOREIGN_TOPIC_RATE = 0.6  # of the questions; the others ask a person about somebody else's topic
FOREIGN_PERSON_RATE = 0.33  # of those on foreign topics
NO_VALUE_RATE = 0.5  # of the questions that ask for a value: the mail is there, the value is not
SLIP_SHARE, PLAIN_SHARE = 0.1, 0.1  # misspelt, and in no other words than a mail's: as those that have an answer
_TRIES = 200  # for each mail


def ask_absent(
    items: KnownItems, others: Sequence[KnownItems], asked: Sequence[Answer], random: Random
) -> Iterator[Question]:
    """Yield questions without an answer, on topics of `items` and `others`, that ask for what `asked` lists."""
    others = [other for other in others if other.mails]
    for _ in range(_TRIES * len(items.mails)):
        answer, mail = random.choice(asked), random.choice(items.mails)
        if answer.noun and random.random() < NO_VALUE_RATE:
            question = _ask_no_value(items, mail, answer, random)
        elif others and (answer.type == "sender" or random.random() < FOREIGN_TOPIC_RATE):
            question = _ask_foreign(items, random.choice(others), mail, answer, random)
        else:
            question = _ask_apart(items, mail, answer, random)
        if question is not None:
            yield question


def _ask_foreign(
    items: KnownItems, source: KnownItems, stand_in: KnownMail, answer: Answer, random: Random
) -> Question | None:
    """Return a question on a topic that no mail has, asked of a person of this inbox or of the other one."""
    mail = random.choice(source.mails)
    person = mail if random.random() < FOREIGN_PERSON_RATE else stand_in
    return _ask(items, source, mail, person, stand_in, answer, random)


def _ask_apart(items: KnownItems, stand_in: KnownMail, answer: Answer, random: Random) -> Question | None:
    """Return a question on a topic of this inbox, asked of a person who never had to do with it."""
    if answer.type == "sender":
        return None
    return _ask(items, items, random.choice(items.mails), stand_in, stand_in, answer, random)


def _ask(
    items: KnownItems,
    source: KnownItems,
    mail: KnownMail,
    person: KnownMail,
    stand_in: KnownMail,
    answer: Answer,
    random: Random,
) -> Question | None:
    known, asked_on = source.topics(mail), items.draw_asked_on(stand_in, random)
    if not known or asked_on is None:
        return None
    when, is_named = draw_when(stand_in.sent, asked_on, random), answer.type != "sender"
    effort = _draw_effort(random)
    chosen = draw_topics(known, random, effort)
    draft = draw_draft(person, chosen, mail, source.counts, when, asked_on, random, is_named=is_named, effort=effort)
    if draft.is_reworded is not (effort is not Effort.USUAL) or not is_slip_unknown(items.inbox, draft):
        return None
    if not (is_never_together if source is items else is_topic_absent)(items.inbox, draft):
        return None
    text = said(draft, draw_template(items, person, answer, draft, random), noun=answer.noun)
    return to_question(items, draft, text, None, (), "unanswerable")


def _ask_no_value(items: KnownItems, mail: KnownMail, answer: Answer, random: Random) -> Question | None:
    """Return a question on a mail that is there, for a value that it does not hold."""
    known, asked_on = items.topics(mail), items.draw_asked_on(mail, random)
    if not known or asked_on is None:
        return None
    when, effort = draw_when(mail.sent, asked_on, random), _draw_effort(random)
    chosen = draw_topics(known, random, effort)
    draft = draw_draft(mail, chosen, mail, items.counts, when, asked_on, random, effort=effort)
    if draft.is_reworded is not (effort is not Effort.USUAL):
        return None
    checks = (
        is_slip_unknown(items.inbox, draft),
        is_value_absent(items.inbox, draft, answer.noun),
        is_unambiguous(items.inbox, draft, mail.ids),
        is_solvable(items.inbox, draft, mail.ids),
    )
    if not all(checks):
        return None
    text = said(draft, draw_template(items, mail, answer, draft, random), noun=answer.noun)
    return to_question(items, draft, text, None, (), "unanswerable")


def _draw_effort(random: Random) -> Effort:
    draw = random.random()
    if draw < PLAIN_SHARE:
        return Effort.USUAL
    return Effort.SLIP if draw < PLAIN_SHARE + SLIP_SHARE else Effort.SURE
