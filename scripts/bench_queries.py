"""Draws search queries of known kinds from the mails of an inbox. Knows nothing of engines or timing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from random import Random

from inbox_env.emails import Email
from inbox_env.search.base import SearchQuery
from inbox_env.search.folding import words
from inbox_env.store import EmailStore

KINDS = ("rare", "medium", "common", "mixed", "phrase", "people", "dates")
_PLAIN = re.compile(r"[a-z]{3,20}")
_SAMPLE = 4000


@dataclass(frozen=True, slots=True)
class Asked:
    """A query of one kind to one inbox; it matches at least one mail."""

    inbox: str
    kind: str
    query: SearchQuery


class QueryMaker:
    """Draws queries from one inbox; how common a word is comes from its own mails."""

    def __init__(self, inbox: str, mails: Sequence[Email], random: Random) -> None:
        self._inbox, self._mails, self._random = inbox, mails, random
        texts = (words(f"{mail.subject}\n{mail.body}") for mail in mails)
        self._texts = [[word for word in text if _PLAIN.fullmatch(word)] for text in texts]
        people = {word for mail in mails for who in (mail.sender, *mail.recipients) for word in words(str(who))}
        counts = Counter(word for text in self._texts for word in set(text))
        self._most_rare = max(0.002, 1 / len(mails))
        self._share = {word: count / len(mails) for word, count in counts.items() if word not in people}

    def ask(self, kind: str) -> Asked | None:
        """Return a query, or None when no mail of a few dozen has words of this kind."""
        for _ in range(40):
            place = self._random.randrange(len(self._mails))
            query = self._query(kind, self._mails[place], self._texts[place])
            if query is not None:
                return Asked(self._inbox, kind, query)
        return None

    def _query(self, kind: str, mail: Email, text: list[str]) -> SearchQuery | None:
        rare, medium, common = (self._pick(text, *bounds) for bounds in ((0, self._most_rare), (0.004, 0.05), (0.1, 1)))
        wanted = {"rare": rare[:1], "common": common[: self._random.choice((1, 1, 2))], "mixed": common[:1] + rare[:1]}
        keywords = tuple(wanted.get(kind, medium[: self._random.choice((1, 2))]))
        if kind == "phrase":
            keywords = self._phrase(mail)
        if not keywords or (kind == "mixed" and len(keywords) < 2):
            return None
        if kind == "people":
            to = mail.to[0].email if mail.to and self._random.random() < 0.4 else None
            sender = mail.sender.email if to is None else None
            return SearchQuery(keywords, sender, to, order="newest") if sender or to else None
        if kind == "dates":
            if mail.date is None:
                return None
            first, last = (mail.date + timedelta(days=days) for days in (-self._random.randrange(5, 200), 60))
            return SearchQuery(keywords, sent_after=first.date(), sent_before=last.date(), order="newest")
        return SearchQuery(keywords, order="newest")

    def _pick(self, text: list[str], least: float, most: float) -> list[str]:
        fitting = sorted({word for word in text if least < self._share.get(word, -1) <= most})
        self._random.shuffle(fitting)
        return fitting

    def _phrase(self, mail: Email) -> tuple[str, ...]:
        line = self._random.choice(mail.body.split("\n")).split()
        pairs = [pair for pair in pairwise(line) if all(map(_PLAIN.fullmatch, pair))]
        return (" ".join(self._random.choice(pairs)),) if pairs else ()


def draw_queries(store: EmailStore, inboxes: Sequence[str], num_queries: int) -> list[Asked]:
    """Return about `num_queries`, spread over the inboxes and all kinds."""
    each = max(1, round(num_queries / len(inboxes) / len(KINDS)))
    return [asked for inbox in inboxes for asked in _of_inbox(store, inbox, each)]


def _of_inbox(store: EmailStore, inbox: str, each: int) -> Iterator[Asked]:
    info = store.info(inbox)
    mails = [stored.email for stored in store.emails(inbox)]
    maker = QueryMaker(inbox, mails[:: 1 + info.num_emails // _SAMPLE], Random(f"queries of {inbox}"))
    for kind in KINDS:
        for _ in range(each):
            asked = maker.ask(kind)
            if asked is not None:
                yield asked
