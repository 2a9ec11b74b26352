"""Known-item questions that need two mails: a mail and the answer to it, or who wrote about something first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from random import Random

from inbox_env.known_items import templates
from inbox_env.known_items.answers import mail_answer, sender_answer
from inbox_env.known_items.checks import Draft, is_solvable
from inbox_env.known_items.drafts import Effort, draw_draft, draw_topics, said, to_question
from inbox_env.known_items.items import KnownItems
from inbox_env.known_items.mails import KnownMail, is_owner, person_name
from inbox_env.known_items.topics import Topic
from inbox_env.known_items.wording import When, draw_when
from inbox_env.leak_report import found_by_all_words, found_without_times
from inbox_env.questions import Question
from inbox_env.search.base import SearchQuery
from inbox_env.search.folding import words

MAX_DAYS_TO_ANSWER = 14
EASY_RATE = 0.1  # of the questions that AND-ing the words finds which do not say when, are kept
_MAX_MAILS = 30  # of two people about one topic: with more, nobody remembers who was first
_START_WORDS = 8


def ask_pairs(items: KnownItems, random: Random, *, is_checkable: bool = False) -> Iterator[Question]:
    """Yield questions on two mails, both gold; `is_checkable` leaves out those for find mode."""
    order = random.sample(items.mails, len(items.mails))
    for mail in order:
        known = items.topics(mail)
        asked = [] if is_checkable or not known else [_ask_exchange(items, mail, known, random)]
        asked += [_ask_first(items, mail, known, random)] if known and not mail.is_by_owner else []
        questions = [one for one in asked if one is not None and _is_kept(items, one, random)]
        if questions:
            yield random.choice(questions)


def _is_kept(items: KnownItems, question: Question, random: Random) -> bool:
    if found_by_all_words(items.inbox, question):
        return False
    return random.random() < EASY_RATE or not found_without_times(items.inbox, question)


def _ask_exchange(items: KnownItems, mail: KnownMail, known: Sequence[Topic], random: Random) -> Question | None:
    """Return a question on `mail` and the next of its thread, when that goes the other way between the same two."""
    answered = _answer_to(items, mail)
    asked_on = None if answered is None else items.draw_asked_on(answered, random)
    shared = [topic for topic in known if answered is not None and _holds(answered, topic)]
    if answered is None or asked_on is None or not shared:
        return None
    when = draw_when(mail.sent, asked_on, random)
    chosen, counts = draw_topics(shared, random, Effort.SURE), items.counts
    draft = draw_draft(mail, chosen, mail, counts, when, asked_on, random, effort=Effort.SURE)
    ids = (*mail.ids, *answered.ids)
    if not (_are_only(items, draft, ids) and is_solvable(items.inbox, draft, ids)):
        return None
    template = random.choice(templates.I_EXCHANGED if mail.is_by_owner else templates.EXCHANGED)
    return to_question(items, draft, said(draft, template), mail_answer(mail), ids, "multi")


def _answer_to(items: KnownItems, mail: KnownMail) -> KnownMail | None:
    thread = items.thread(mail)
    following = [later for one, later in pairwise(thread) if one is mail]
    return next((one for one in following if _answers(one, mail)), None)


def _answers(later: KnownMail, mail: KnownMail) -> bool:
    """Whether one goes back to the sender of the other, soon; not when that quotes it, as when a clock was wrong."""
    is_back = later.person == mail.person and later.is_by_owner is not mail.is_by_owner
    is_soon = (later.sent - mail.sent).days <= MAX_DAYS_TO_ANSWER
    return is_back and is_soon and not _repeats(mail.email.body, later)


def _holds(mail: KnownMail, topic: Topic) -> bool:
    """Whether the sender of a mail wrote the topic, its words in a row."""
    return any(f" {' '.join(topic.words)} " in f" {' '.join(words(text))} " for text in (mail.topic, mail.text))


def _are_only(items: KnownItems, draft: Draft, ids: Sequence[str]) -> bool:
    """Whether no third mail between the two, of that time, holds the topics."""
    when = draft.when
    if when.first is not None and when.last is not None:
        when = replace(when, last=when.last + timedelta(days=MAX_DAYS_TO_ANSWER))
    keywords = tuple(word for topic in draft.topics for word in topic.words)
    owner = items.inbox.owner.email
    found: set[str] = set()
    for sender, recipient in ((draft.who, None), (owner, draft.who)):
        query = SearchQuery(keywords, sender, recipient, when.first, when.last)
        result = items.inbox.search(query, as_of=_end_of(draft.asked_on), limit=len(ids) + 1, snippet_chars=0)
        found |= {hit.message_id for hit in result.hits}
    return found == set(ids)


def _ask_first(items: KnownItems, mail: KnownMail, known: Sequence[Topic], random: Random) -> Question | None:
    """Return a question on who wrote about a topic first: the sender of `mail`, or somebody who wrote later."""
    chosen = (random.choice(known),)
    asked_on = items.draw_asked_on(mail, random)
    if asked_on is None:
        return None
    rivals = _firsts(items, chosen, asked_on)
    others = [one for name, one in rivals.items() if name != mail.person and _is_own(one, mail)]
    answer = sender_answer(mail)
    if rivals.get(mail.person) is not mail or not others or answer is None:
        return None
    other = random.choice(others)
    draft = draw_draft(mail, chosen, mail, items.counts, When(""), asked_on, random, effort=Effort.SURE)
    names = [mail.person, other.person]
    random.shuffle(names)
    ids = (*mail.ids, *other.ids)
    if not is_solvable(items.inbox, replace(draft, called=other.person), other.ids):
        return None
    text = said(replace(draft, called=names[0]), random.choice(templates.FIRST), other=names[1])
    return to_question(items, draft, text, answer, ids, "multi")


def _is_own(later: KnownMail, mail: KnownMail) -> bool:
    """Whether a mail of a later day does not repeat what the earlier one says."""
    return (later.sent - mail.sent).days >= 1 and not _repeats(later.text, mail)


def _repeats(text: str, mail: KnownMail) -> bool:
    return " ".join(words(mail.text)[:_START_WORDS]) in " ".join(words(text))


def _firsts(items: KnownItems, chosen: Sequence[Topic], asked_on: date) -> dict[str, KnownMail]:
    """Return for each person the first mail about the topics that they wrote; none of people whose first is unclear."""
    keywords = tuple(word for topic in chosen for word in topic.words)
    query = SearchQuery(keywords, order="newest")
    result = items.inbox.search(query, as_of=_end_of(asked_on), limit=_MAX_MAILS, snippet_chars=0)
    if result.num_matches > len(result.hits):
        return {}
    first: dict[str, KnownMail | None] = {}
    for hit in reversed(result.hits):
        found, stored = items.by_number.get(hit.number), items.inbox.read(hit.number, as_of=None)
        if stored is None or is_owner(stored.email.sender, items.inbox.owner):
            continue
        is_own = found is not None and all(_holds(found, topic) for topic in chosen)
        first.setdefault(person_name(stored.email.sender) or hit.sender, found if is_own else None)
    return {person: one for person, one in first.items() if one is not None}


def _end_of(day: date) -> datetime:
    return datetime.combine(day, time.max, UTC)
