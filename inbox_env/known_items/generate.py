"""Known-item questions: about a mail that somebody remembers having got or sent, made from a mailbox without a model.

Each names a person, a topic in words of the mail (or near them), and often a rough time. Every question is checked by
search: the mail is found by one or two of its words, and no other mail of that person, topic and time is; what is
called unanswerable does not occur. Seeded: the same mailbox and seed give the same questions. Made for find mode: the
answer text is only the mail's subject. Knows nothing of policies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from random import Random

from inbox_env.errors import UsageError
from inbox_env.inbox import Inbox
from inbox_env.known_items.checks import (
    Draft,
    has_distractors,
    is_never_together,
    is_solvable,
    is_topic_absent,
    is_unambiguous,
)
from inbox_env.known_items.mails import KnownMail, known_mails, own_text, spread
from inbox_env.known_items.topics import TermCounts, Topic, topics
from inbox_env.known_items.wording import When, ask, blur, draw_asked_on, draw_name, draw_when
from inbox_env.leak_report import first_by_any_word, found_by_all_words
from inbox_env.questions import Kind, Question
from inbox_env.search.folding import words
from inbox_env.store import EmailStore

UNANSWERABLE_RATE = 0.15
TWO_TOPICS_RATE = 0.4
HARDEST_RATE = 0.8  # how often the hardest wording of a mail is taken: one that has decoys, and is not a giveaway
TOO_EASY_RATE = 0.25  # of the questions that AND-ing all their words would find, this many are kept
FOREIGN_TOPIC_RATE = 0.6  # of the unanswerable questions; the others ask a person about somebody else's topic
FOREIGN_PERSON_RATE = 0.33  # of those on foreign topics
_MAX_LAPS = 3  # questions about one mail
_MAX_TRIES = 6  # wordings tried for one mail in one lap
_MAX_TOPICS = 5


class KnownItems:
    """What can be asked about one inbox: its mails and their topics."""

    def __init__(self, store: EmailStore, name: str) -> None:
        self.inbox = Inbox(store, name)
        known = known_mails(store, name)
        self.mails, self.last_day = known.mails, known.last_day
        self.counts = TermCounts(known.mails)
        for stored in store.emails(name):
            self.counts.add(stored.email.subject, own_text(stored.email))
        self._owner = words(self.inbox.owner.name)
        self._people = frozenset(word for mail in known.mails for word in words(mail.person))

    def topics(self, mail: KnownMail) -> list[Topic]:
        """Return what a mail is about, the most telling first."""
        return topics(mail, self.counts, self._owner, self._people)[:_MAX_TOPICS]

    def draw_asked_on(self, mail: KnownMail, random: Random) -> date | None:
        """Return a day after the mail and not after the inbox's last, or None when there is none."""
        return None if self.last_day is None else draw_asked_on(mail.sent, self.last_day, random)


def generate_known_items(
    items: KnownItems, others: Sequence[KnownItems], count: int, *, seed: int = 1, split: str = ""
) -> list[Question]:
    """Return `count` questions on `items`, or fewer when its mail gives no more; no question twice.

    `others` are inboxes whose topics unanswerable questions may borrow. Raises UsageError when no mail can be asked
    about.
    """
    name = items.inbox.name
    random = Random(f"{seed}:{name}")
    num_answerable = count - round(UNANSWERABLE_RATE * count)
    found = _take(_answerable(items, num_answerable, random), num_answerable)
    if not found:
        raise UsageError(80, f"no mail of {name!r} can be asked about", next_step="it needs mail between people")
    num_absent = round(UNANSWERABLE_RATE / (1 - UNANSWERABLE_RATE) * len(found))
    drawn = found + _take(_unanswerable(items, others, random), min(num_absent, count - len(found)))
    random.shuffle(drawn)
    return [
        question.model_copy(update={"id": f"{name}-known-{seed}-{number:04d}", "split": split})
        for number, question in enumerate(drawn, 1)
    ]


def _take(questions: Iterator[Question], count: int) -> list[Question]:
    taken: dict[str, Question] = {}
    while len(taken) < count and (question := next(questions, None)) is not None:
        taken.setdefault(question.question, question)
    return list(taken.values())


def _answerable(items: KnownItems, count: int, random: Random) -> Iterator[Question]:
    order = spread(items.mails, count, random)
    for lap in range(_MAX_LAPS):
        for mail in order:
            known = items.topics(mail)
            if len(known) <= lap:
                continue
            tries = [_ask_about(items, mail, known, random) for _ in range(_MAX_TRIES)]
            questions = [question for question in tries if question is not None]
            if questions and random.random() < HARDEST_RATE:
                questions = [min(questions, key=lambda one: _ease(items.inbox, one))]
            if questions and (not found_by_all_words(items.inbox, questions[0]) or random.random() < TOO_EASY_RATE):
                yield questions[0]


def _ease(inbox: Inbox, question: Question) -> tuple[bool, bool, bool]:
    return (
        found_by_all_words(inbox, question),
        first_by_any_word(inbox, question),
        question.kind != "distractor",
    )


def _ask_about(items: KnownItems, mail: KnownMail, known: Sequence[Topic], random: Random) -> Question | None:
    """Return a question about `mail`, or None when the one drawn fails a check."""
    asked_on = items.draw_asked_on(mail, random)
    if asked_on is None:
        return None
    when = draw_when(mail.sent, asked_on, random)
    draft = _draft(mail, _draw_topics(known, random), items.counts, when, asked_on, random)
    if not (is_unambiguous(items.inbox, draft, mail.ids) and is_solvable(items.inbox, draft, mail.ids)):
        return None
    kind: Kind = "distractor" if has_distractors(items.inbox, draft, mail.ids) else "single"
    return _question(items, draft, mail, kind, random)


def _unanswerable(items: KnownItems, others: Sequence[KnownItems], random: Random) -> Iterator[Question]:
    """Yield questions on topics of other inboxes, and on a person's topic asked of another person."""
    others = [other for other in others if other.mails]
    for _ in range(200 * len(items.mails)):
        is_foreign = bool(others) and random.random() < FOREIGN_TOPIC_RATE
        source = random.choice(others) if is_foreign else items
        mail, stand_in = random.choice(source.mails), random.choice(items.mails)
        known, asked_on = source.topics(mail), items.draw_asked_on(stand_in, random)
        if not known or asked_on is None:
            continue
        person = mail if is_foreign and random.random() < FOREIGN_PERSON_RATE else stand_in
        when = draw_when(stand_in.sent, asked_on, random)
        draft = _draft(person, _draw_topics(known, random), source.counts, when, asked_on, random)
        if (is_topic_absent if is_foreign else is_never_together)(items.inbox, draft):
            yield _question(items, draft, None, "unanswerable", random)


def _draw_topics(known: Sequence[Topic], random: Random) -> tuple[Topic, ...]:
    """Return one topic, or two that share no word, the telling ones more often."""
    first = random.choices(known, weights=range(len(known), 0, -1))[0]
    others = [topic for topic in known if set(topic.words).isdisjoint(first.words)]
    return (first, random.choice(others)) if others and random.random() < TWO_TOPICS_RATE else (first,)


def _draft(
    person: KnownMail, chosen: tuple[Topic, ...], counts: TermCounts, when: When, asked_on: date, random: Random
) -> Draft:
    return Draft(
        who=draw_name(person.person, random),
        person=person.person,
        topics=chosen,
        said=tuple(blur(topic, counts, random) for topic in chosen),
        when=when,
        asked_on=asked_on,
        is_by_owner=person.is_by_owner,
    )


def _question(items: KnownItems, draft: Draft, mail: KnownMail | None, kind: Kind, random: Random) -> Question:
    return Question(
        id="draft",
        inbox=items.inbox.name,
        inbox_address=items.inbox.owner.email,
        question=ask(draft.who, " and ".join(draft.said), draft.when, draft.is_by_owner, random),
        answer=None if mail is None else mail.topic or " ".join(mail.text.split()[:8]),
        message_ids=() if mail is None else mail.ids,
        answerable=mail is not None,
        kind=kind,
        asked_on=draft.asked_on,
    )
