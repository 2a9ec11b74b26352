"""Words a world's facts, chatter, replies and newsletters as emails. Pure and seeded; knows nothing of questions."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random

from inbox_env.emails import Address, Email
from inbox_env.synthetic.phrases import (
    CHATTER,
    CHATTER_SUBJECTS,
    CLOSINGS,
    DAYS,
    FILLERS,
    GREETINGS,
    NEWSLETTER,
    NEWSLETTER_NAMES,
    REPLIES,
)
from inbox_env.synthetic.world import PERIOD_DAYS, START, Fact, World


class MailWriter:
    """Writes mails of one inbox; Message-IDs count up from the inbox's name."""

    def __init__(self, inbox: str, world: World, random: Random) -> None:
        self._inbox, self._world, self._random = inbox, world, random
        self._count = 0

    def fact(self, fact: Fact) -> Email:
        """Return the mail that tells `fact`."""
        subject = self._random.choice(fact.kind.subjects)
        if fact.corrects is not None:
            subject, bodies = f"Re: {subject}", fact.kind.corrections
        else:
            bodies = fact.kind.bodies
        sentence = self._fill(self._random.choice(bodies), fact.topic, fact.value, fact.sender)
        return self._email(
            fact.sender,
            self._fill(subject, fact.topic, "", fact.sender),
            self._letter(sentence, fact.sender),
            fact.sent,
        )

    def reply(self, email: Email) -> Email:
        """Return the owner's answer to `email`, quoting it."""
        quoted = "\n".join(f"> {line}" for line in email.body.split("\n"))
        assert email.date is not None
        intro = f"On {email.date:%Y-%m-%d}, {email.sender.name} wrote:"
        words = self._fill(self._random.choice(REPLIES), "", "", email.sender)
        body = f"{words}\n\n{intro}\n{quoted}"
        subject = email.subject if email.subject.startswith("Re: ") else f"Re: {email.subject}"
        sent = email.date + timedelta(hours=self._random.randint(1, 30))
        return self._email(self._world.owner, subject, body, sent, to=email.sender, answered=email)

    def chatter(self, topic: str) -> Email:
        """Return a mail that mentions `topic` and tells nothing."""
        sender = self._random.choice(self._world.circles[topic])
        subject = self._fill(self._random.choice(CHATTER_SUBJECTS), topic, "", sender)
        sentence = self._fill(self._random.choice(CHATTER), topic, "", sender)
        return self._email(sender, subject, self._letter(sentence, sender))

    def newsletter(self) -> Email:
        """Return a mail that touches everybody's words and nobody's facts."""
        name = self._random.choice(NEWSLETTER_NAMES)
        sender = Address(name, f"news@{name.split()[0].lower()}.example")
        lines = self._random.sample(NEWSLETTER, 4)
        return self._email(sender, f"{name} no. {self._random.randrange(10, 99)}", "\n".join(lines))

    def _letter(self, sentence: str, sender: Address) -> str:
        choice = self._random.choice
        parts = [sentence] if self._random.random() < 0.35 else [choice(FILLERS), sentence]
        if self._random.random() < 0.3:
            parts.append(choice(FILLERS))
        greeting = choice(GREETINGS).format(owner=self._world.owner.name.split()[0])
        return f"{greeting}\n\n{' '.join(parts)}\n\n{choice(CLOSINGS)}\n{sender.name.split()[0]}"

    def _fill(self, template: str, topic: str, value: str, sender: Address) -> str:
        other = self._random.choice([person for person in self._world.people if person != sender])
        return template.format(topic=topic, value=value, day=self._random.choice(DAYS), other=other.name)

    def _email(
        self,
        sender: Address,
        subject: str,
        body: str,
        sent: datetime | None = None,
        *,
        to: Address | None = None,
        answered: Email | None = None,
    ) -> Email:
        self._count += 1
        if sent is None:
            sent = START + timedelta(days=self._random.randrange(PERIOD_DAYS), minutes=self._random.randrange(600))
        parent = answered.message_id if answered else None
        return Email(
            message_id=f"<{self._count}.{self._inbox}@mail.example>",
            date=sent,
            sender=sender,
            to=(to or self._world.owner,),
            subject=subject,
            body=body,
            in_reply_to=parent,
            references=(parent,) if parent else (),
            folders=("sent",) if answered else ("inbox",),
        )
