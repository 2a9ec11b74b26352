"""KnownItems: what can be asked about one inbox. Knows nothing of how questions are drawn or worded."""

from __future__ import annotations

from datetime import date
from random import Random

from inbox_env.emails import Address
from inbox_env.inbox import Inbox
from inbox_env.known_items.answers import Answer, value_answers
from inbox_env.known_items.mails import KnownMail, known_mails, own_text
from inbox_env.known_items.topics import TermCounts, Topic, topics
from inbox_env.known_items.wording import draw_asked_on
from inbox_env.search.base import SearchQuery
from inbox_env.search.folding import words
from inbox_env.store import EmailStore

MAX_REPEATS = 2
_MAX_TOPICS = 5


class KnownItems:
    """What can be asked about one inbox: its mails and their topics."""

    def __init__(self, store: EmailStore, name: str) -> None:
        self.inbox = Inbox(store, name)
        known = known_mails(store, name)
        self.mails, self.last_day = known.mails, known.last_day
        self.by_number = {mail.number: mail for mail in known.mails}
        self.counts = TermCounts(known.mails)
        for stored in store.emails(name):
            self.counts.add(stored.email.subject, own_text(stored.email))
        self._said: dict[tuple[str, str], int] = {}
        self._owner = words(self.inbox.owner.name)
        self._people = frozenset(word for mail in known.mails for word in words(mail.person))

    def topics(self, mail: KnownMail) -> list[Topic]:
        """Return what a mail is about, the most telling first."""
        found = topics(mail, self.counts, self._owner, self._people)
        return found[:_MAX_TOPICS] if any(topic.is_telling for topic in found) else []

    def values(self, mail: KnownMail) -> list[Answer]:
        """Return the values of a mail that its sender does not keep repeating, as a signature does."""
        return [answer for answer in value_answers(mail) if self._num_said(mail.email.sender, answer) <= MAX_REPEATS]

    def _num_said(self, sender: Address, answer: Answer) -> int:
        """Return in how many mails of `sender` a phone number or place stands; other values are repeated by chance."""
        if answer.type not in ("phone", "place") or not sender.email:
            return 0
        key = (sender.email, answer.text)
        if key not in self._said:
            query = SearchQuery((answer.text,), sender.email)
            self._said[key] = self.inbox.search(query, as_of=None, limit=1, snippet_chars=0).num_matches
        return self._said[key]

    def thread(self, mail: KnownMail) -> list[KnownMail]:
        """Return those mails of its thread that can be asked about, oldest first."""
        numbers = self.inbox.thread(mail.number, as_of=None)
        return [self.by_number[number] for number in numbers if number in self.by_number]

    def draw_asked_on(self, mail: KnownMail, random: Random) -> date | None:
        """Return a day after the mail and not after the inbox's last, or None when there is none."""
        return None if self.last_day is None else draw_asked_on(mail.sent, self.last_day, random)
