"""Known-item questions about one mail: what somebody wrote, a value in it, or who sent it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from inbox_env.inbox import Inbox
from inbox_env.known_items.answers import Answer, mail_answer, sender_answer
from inbox_env.known_items.checks import has_distractors, is_slip_unknown, is_solvable, is_unambiguous
from inbox_env.known_items.drafts import Effort, draw_draft, draw_template, draw_topics, holds_answer, said, to_question
from inbox_env.known_items.items import KnownItems
from inbox_env.known_items.mails import KnownMail, spread
from inbox_env.known_items.topics import Topic
from inbox_env.known_items.wording import draw_when
from inbox_env.leak_report import first_by_any_word, found_by_all_words, found_without_times
from inbox_env.questions import Kind, Question

HARDEST_RATE = 0.8  # how often the hardest wording of a mail is taken: one that has decoys, and is not a giveaway
EASY_RATE = 0.05  # of the questions that AND-ing all their words finds, with those that say when or without, are kept
SLIP_RATE = 0.2  # how often a name is misspelt where there is no other word for anything
VALUE_RATE = 0.6  # how often a mail with a value in it is asked for that
SENDER_RATE, UNNAMED_RATE = 0.12, 0.06  # how often a question asks who, or does not say who
_MAX_LAPS = 3  # questions about one mail
_TRIES = (Effort.USUAL, *[Effort.SURE] * 5)  # wordings of one mail in one lap
_SLIPS = (Effort.SLIP,) * 3


def ask_singles(items: KnownItems, count: int, random: Random, *, is_checkable: bool = False) -> Iterator[Question]:
    """Yield questions on mails, the first `count` spread over time; `is_checkable` leaves out those for find mode."""
    order = spread(items.mails, count, random)
    easy: list[Question] = []
    for lap in range(_MAX_LAPS):
        for mail in order:
            question = _hardest(items, mail, lap, random, is_checkable)
            if question is None or (found_by_all_words(items.inbox, question) and random.random() >= EASY_RATE):
                continue
            if found_without_times(items.inbox, question) and random.random() >= EASY_RATE:
                easy.append(question)
            else:
                yield question
    yield from easy  # where the mail gives no more


def _hardest(items: KnownItems, mail: KnownMail, lap: int, random: Random, is_checkable: bool) -> Question | None:
    """Return the hardest of some wordings of a question on `mail`, or any of them; None when it gives none."""
    known = items.topics(mail)
    if len(known) <= lap:
        return None
    values = items.values(mail)

    def tried(efforts: Sequence[Effort]) -> list[Question]:
        asked = (_ask(items, mail, known, values, random, is_checkable, effort) for effort in efforts)
        return [question for question in asked if question is not None]

    questions = tried(_TRIES)
    if not questions:
        return None
    best = _least_easy(items.inbox, questions) if random.random() < HARDEST_RATE else questions[0]
    if found_without_times(items.inbox, best) and random.random() < SLIP_RATE:
        best = _least_easy(items.inbox, [best, *tried(_SLIPS)])
    return best


def _least_easy(inbox: Inbox, questions: Sequence[Question]) -> Question:
    """Return one that its words find least: by all, by those that do not say when, by rank; then one with decoys."""
    different = list({question.question: question for question in questions}.values())
    ease = [(found_by_all_words(inbox, one), found_without_times(inbox, one)) for one in different]
    hardest = [one for one, its in zip(different, ease, strict=True) if its == min(ease)]
    hardest.sort(key=lambda one: one.kind != "distractor")
    return next((one for one in hardest if not first_by_any_word(inbox, one)), hardest[0])


def _ask(
    items: KnownItems,
    mail: KnownMail,
    known: Sequence[Topic],
    values: Sequence[Answer],
    random: Random,
    is_checkable: bool,
    effort: Effort,
) -> Question | None:
    """Return a question about `mail`, or None when the one drawn fails a check."""
    asked_on = items.draw_asked_on(mail, random)
    answer, is_named = _draw_answer(mail, values, random, is_checkable)
    if asked_on is None or answer is None:
        return None
    when = draw_when(mail.sent, asked_on, random)
    chosen = draw_topics(known, random, effort)
    draft = draw_draft(mail, chosen, mail, items.counts, when, asked_on, random, is_named=is_named, effort=effort)
    text = said(draft, draw_template(items, mail, answer, draft, random), noun=answer.noun)
    if answer.type != "mail" and holds_answer(text, answer):
        return None
    if not is_slip_unknown(items.inbox, draft):
        return None
    if not (is_unambiguous(items.inbox, draft, mail.ids) and is_solvable(items.inbox, draft, mail.ids)):
        return None
    kind: Kind = "distractor" if has_distractors(items.inbox, draft, mail.ids) else "single"
    return to_question(items, draft, text, answer, mail.ids, kind)


def _draw_answer(
    mail: KnownMail, values: Sequence[Answer], random: Random, is_checkable: bool
) -> tuple[Answer | None, bool]:
    """Return what is asked for, and whether the question names its person."""
    if values and random.random() < (1.0 if is_checkable and mail.is_by_owner else VALUE_RATE):
        return random.choice(values), True
    draw, sender = random.random(), sender_answer(mail)
    if sender is not None and (is_checkable or draw < SENDER_RATE):
        return sender, False
    if is_checkable:
        return None, False
    is_named = mail.is_by_owner or draw >= SENDER_RATE + UNNAMED_RATE
    return mail_answer(mail), is_named
