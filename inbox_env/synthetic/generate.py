"""One call from a seed to an inbox: the same arguments give the same bytes on every machine."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from inbox_env.emails import Address, Email
from inbox_env.errors import UsageError
from inbox_env.questions import Question
from inbox_env.synthetic.ask import Asker
from inbox_env.synthetic.mails import MailWriter
from inbox_env.synthetic.names import SPLITS, Split
from inbox_env.synthetic.world import Fact, World, make_world

_MAILS_PER_TOPIC = 17
_REPLY_RATE = 0.2
_NEWSLETTER_SHARE = 0.12


@dataclass(frozen=True, slots=True)
class SyntheticInbox:
    """An invented mailbox with questions on it; emails are in no particular order."""

    name: str
    split: Split
    owner: Address
    emails: tuple[Email, ...]
    questions: tuple[Question, ...]


def generate_inbox(split: Split, seed: int, *, num_emails: int = 800, num_questions: int = 400) -> SyntheticInbox:
    """Return the inbox of `seed` in `split`: exactly `num_emails` mails and `num_questions` questions.

    Names of people and topics of different splits never coincide (`names.split_of`).
    """
    if split not in SPLITS:
        raise UsageError(30, f"unknown split {split!r}", next_step=f"one of {', '.join(SPLITS)}")
    if num_emails < 100:
        raise UsageError(31, "an invented inbox needs at least 100 mails", where=f"num_emails = {num_emails}")
    name = f"{split}-{seed:03d}"
    random = Random(f"mailsleuth:{name}")  # a text seed is hashed with SHA-512: stable over Python versions
    world = make_world(random, split, num_topics=max(6, num_emails // _MAILS_PER_TOPIC))
    emails, told = _write_mails(name, world, random, num_emails)
    asker = Asker(name, split, world, told, random)
    questions = tuple(asker.ask(number) for number in range(num_questions))
    return SyntheticInbox(name, split, world.owner, emails, questions)


def _write_mails(name: str, world: World, random: Random, num_emails: int) -> tuple[tuple[Email, ...], dict[Fact, str]]:
    writer = MailWriter(name, world, random)
    emails: list[Email] = []
    told: dict[Fact, str] = {}
    for fact in world.facts:
        email = writer.fact(fact)
        told[fact] = email.message_id
        emails.append(email)
        if random.random() < _REPLY_RATE:
            emails.append(writer.reply(email))
    if len(emails) > num_emails:
        raise UsageError(32, "too few mails for the facts of this inbox", where=name, next_step="raise num_emails")
    topics = list(world.circles)
    while len(emails) < num_emails:
        emails.append(
            writer.newsletter() if random.random() < _NEWSLETTER_SHARE else writer.chatter(random.choice(topics))
        )
    return tuple(emails), told
