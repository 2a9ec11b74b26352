"""Draws a known-item question in parts and puts the parts together. Seeded; asks no index."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import date
from enum import IntEnum
from random import Random

from inbox_env.known_items import templates
from inbox_env.known_items.answers import Answer
from inbox_env.known_items.checks import Draft
from inbox_env.known_items.items import KnownItems
from inbox_env.known_items.mails import KnownMail, is_owner
from inbox_env.known_items.names import NICKNAME_RATE, draw_name, has_other_form, misspelt, nickname
from inbox_env.known_items.topics import TermCounts, Topic
from inbox_env.known_items.wording import When, ask, blur, drop_words
from inbox_env.questions import Kind, Question
from inbox_env.search.folding import words

TWO_TOPICS_RATE = 0.4
PLAIN_TOPIC_RATE = 0.8  # how often a noun is chosen first where other words are wanted
MANNER_RATE = 0.5  # how often a question says that the mail was a reply, a forward, sent to several
MIN_SEVERAL = 4
_REPLY = re.compile(r"\s*(?:re|aw)\s*:", re.IGNORECASE)
_FORWARD = re.compile(r"\s*fwd?\s*:", re.IGNORECASE)


class Effort(IntEnum):
    """How hard a question tries to say something in a word that its mail has not."""

    USUAL = 0
    SURE = 1  # wherever another word or form of a name is known
    SLIP = 2  # and a name is misspelt


def draw_topics(known: Sequence[Topic], random: Random, effort: Effort = Effort.USUAL) -> tuple[Topic, ...]:
    """Return one topic, or two that share no word, the telling ones more often; a word said in passing never alone."""
    plain = [topic for topic in known if topic.text.islower()]  # a name has no other word
    if effort is not Effort.USUAL and plain and random.random() < PLAIN_TOPIC_RATE:
        first = random.choice(plain)
    else:
        first = random.choices(known, weights=range(len(known), 0, -1))[0]
    others = [topic for topic in known if set(topic.words).isdisjoint(first.words)]
    is_one = random.random() >= TWO_TOPICS_RATE
    if not others or (is_one and first.is_telling):
        two: tuple[Topic, ...] = (first,)
    else:
        two = (first, random.choice(others))
    return tuple(drop_words(topic, random) for topic in two)


def draw_draft(
    person: KnownMail,
    chosen: tuple[Topic, ...],
    source: KnownMail,
    counts: TermCounts,
    when: When,
    asked_on: date,
    random: Random,
    *,
    is_named: bool = True,
    effort: Effort = Effort.USUAL,
) -> Draft:
    """Return a question about `chosen`, which are topics of `source`, asked of the person of `person`."""
    held = frozenset(words(f"{source.topic} {source.text}"))
    is_sure = effort is not Effort.USUAL
    rate = 1.0 if is_sure else NICKNAME_RATE
    who = draw_name(person.person, random)
    if is_sure and has_other_form(person.person):
        who = random.choice((person.person, person.person, person.person.split()[0]))
    shown = frozenset(words(f"{person.text} {' '.join(map(str, (person.email.sender, *person.email.recipients)))}"))
    draft = Draft(
        who=who,
        called=who if _signs_otherwise(person) else nickname(who, person.person, shown, random, rate),
        person=person.person,
        topics=chosen,
        said=tuple(blur(topic, counts, held, random, is_sure=is_sure) for topic in chosen),
        when=when,
        asked_on=asked_on,
        is_by_owner=person.is_by_owner,
        is_named=is_named,
    )
    return _with_slip(draft, held | shown, random) if effort is Effort.SLIP else draft


def _signs_otherwise(mail: KnownMail) -> bool:
    """Whether the last line of a mail is a name of one word that its sender is not called by ("Sam", of William)."""
    lines = [] if mail.is_by_owner else mail.text.split("\n")
    last = words(lines[-1]) if lines else []
    return len(last) == 1 and lines[-1].istitle() and last[0] not in words(mail.person)


def _with_slip(draft: Draft, held: Collection[str], random: Random) -> Draft:
    """Return the draft with its person's last name misspelt, or a name among its topics where it names nobody."""
    if draft.is_named:
        *first, last = draft.called.split()
        wrong = misspelt(last, random)
        return draft if wrong.lower() in held else replace(draft, called=" ".join((*first, wrong)), slip=wrong)
    for place, text in enumerate(draft.said):
        *before, last = text.split()
        wrong = misspelt(last, random)
        if wrong.lower() not in held:
            said = (*draft.said[:place], " ".join((*before, wrong)), *draft.said[place + 1 :])
            return replace(draft, said=said, slip=wrong)
    return draft


def draw_template(items: KnownItems, mail: KnownMail, answer: Answer, draft: Draft, random: Random) -> str:
    """Return a sentence that asks for `answer` as from `mail`."""
    if answer.type == "sender":
        return random.choice(templates.SENDER)
    if answer.type != "mail":
        return random.choice((templates.MY_VALUES if mail.is_by_owner else templates.VALUES)[answer.type])
    if not draft.is_named:
        return random.choice(templates.UNNAMED)
    usual: tuple[str, ...] = templates.SENT if mail.is_by_owner else templates.RECEIVED
    if not mail.is_by_owner and not _is_to_owner(items, mail):
        usual = templates.OVERHEARD
    manners = _manners(items, mail) if random.random() < MANNER_RATE else ()
    return random.choice(manners or usual)


def holds_answer(text: str, answer: Answer) -> bool:
    """Return whether a question's text says a telling word of its answer."""
    said = set(words(text))
    return any(word in said for word in words(answer.text) if word not in ("the", *words(answer.noun)))


def to_question(
    items: KnownItems, draft: Draft, text: str, answer: Answer | None, ids: Collection[str], kind: Kind
) -> Question:
    """Return the question in its final form, but for its id."""
    return Question(
        id="draft",
        inbox=items.inbox.name,
        inbox_address=items.inbox.owner.email,
        question=text,
        answer=None if answer is None else answer.text,
        accepted=() if answer is None else answer.accepted,
        message_ids=tuple(ids),
        answerable=answer is not None,
        kind=kind,
        asked_on=draft.asked_on,
        evidence=(answer.evidence or None) if answer is not None else None,
        answer_type="" if answer is None else answer.type,
    )


def said(draft: Draft, template: str, *, noun: str = "", other: str = "") -> str:
    """Return the draft in the words of a template."""
    return ask(template, " and ".join(draft.said), draft.when, who=draft.called, noun=noun, other=other)


def _manners(items: KnownItems, mail: KnownMail) -> tuple[str, ...]:
    """Return the sentences that fit how the mail went and say so in words that it does not hold."""
    email = mail.email
    if mail.is_by_owner:
        return templates.I_REPLIED if _REPLY.match(email.subject) and len(email.recipients) == 1 else ()
    if not _is_to_owner(items, mail):
        return templates.COPIED if any(is_owner(address, items.inbox.owner) for address in email.cc) else ()
    if _REPLY.match(email.subject) and len(email.recipients) == 1:
        return templates.REPLIED
    if _FORWARD.match(email.subject):
        return templates.FORWARDED
    return templates.TO_SEVERAL if len(email.to) >= MIN_SEVERAL else ()


def _is_to_owner(items: KnownItems, mail: KnownMail) -> bool:
    return any(is_owner(address, items.inbox.owner) for address in mail.email.to)
