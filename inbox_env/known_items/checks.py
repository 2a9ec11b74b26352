"""Checks of a known-item question by search: is it about one mail, can that be found, is what is absent absent?

Knows nothing of how questions are drawn or worded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from itertools import combinations

from inbox_env.inbox import Inbox
from inbox_env.known_items.synonyms import forms
from inbox_env.known_items.topics import Topic
from inbox_env.known_items.values import may_hold
from inbox_env.known_items.wording import When, asked_words
from inbox_env.search.base import MAX_KEYWORDS, SearchQuery, SearchResult

NUM_HITS = 5  # a searcher looks at this many


@dataclass(frozen=True, slots=True)
class Draft:
    """A question in parts: `who` is the part of the name of `person` that is used, `called` how it is said ("Bob" for
    Robert), `said` how each of the topics is said.

    Without `is_named` the question does not say who, so that mail of anybody may fit it.
    """

    who: str
    called: str
    person: str
    topics: tuple[Topic, ...]
    said: tuple[str, ...]
    when: When
    asked_on: date
    is_by_owner: bool
    is_named: bool = True
    slip: str = ""  # the word of it that is misspelt

    @property
    def is_reworded(self) -> bool:
        """Whether the person or a topic is said in a word that the mail has not."""
        return bool(self.slip) or self.called != self.who or self.said != tuple(topic.text for topic in self.topics)

    def said_words(self) -> list[str]:
        """Return the words of the topics as they are asked."""
        return [word for text in self.said for word in asked_words(text)]


def is_unambiguous(inbox: Inbox, draft: Draft, ids: Sequence[str]) -> bool:
    """Return whether of that person's mail of that time only the gold mails `ids` hold all words of the topics.

    The words are both those of the mail and those that are asked.
    """
    keywords = [word for topic in draft.topics for word in topic.words]
    result = _from_person(inbox, keywords, draft, draft.when)
    said = draft.said_words()
    others = [(draft.who, said), (draft.called, keywords)]  # a mail with the other words, another person of that name
    return _are_all(result, ids) and all(
        _are_all(_from_person(inbox, other, replace(draft, who=name), draft.when), ids, may_be_none=True)
        for name, other in others
        if name != draft.who or set(other) != set(keywords)
    )


def is_slip_unknown(inbox: Inbox, draft: Draft) -> bool:
    """Return whether what is misspelt stands in no mail: it would be somebody else's name, or another word."""
    return not draft.slip or not _find(inbox, (draft.slip,), None).num_matches


def has_distractors(inbox: Inbox, draft: Draft, ids: Sequence[str]) -> bool:
    """Return whether other mail of that person, of any time, holds one of the topics."""
    return any(_from_person(inbox, topic.words, draft, When("")).num_matches > len(ids) for topic in draft.topics)


def is_solvable(inbox: Inbox, draft: Draft, ids: Sequence[str]) -> bool:
    """Return whether the name or a word of the topics as asked, or two of these, bring a gold mail among the first."""
    units = list(dict.fromkeys((*([draft.called] if draft.is_named else []), *draft.said_words())))
    tries = [*((unit,) for unit in units), *combinations(units, 2)]
    found = (_find(inbox, keywords, draft.asked_on) for keywords in tries)
    return any(not set(ids).isdisjoint(hit.message_id for hit in result.hits) for result in found)


def is_topic_absent(inbox: Inbox, draft: Draft) -> bool:
    """Return whether no mail of any date, from anybody, holds all words of one of the topics."""
    return not any(_find(inbox, keywords, None).num_matches for keywords in _wordings(draft))


def is_never_together(inbox: Inbox, draft: Draft) -> bool:
    """Return whether no mail of any date holds the person's name, or last name, and any word of the topics."""
    names = dict.fromkeys((draft.who, draft.called, draft.person, draft.person.split()[-1]))
    every = dict.fromkeys(word for keywords in _wordings(draft) for word in keywords)  # and what may stand for it
    return not any(_find(inbox, (name, word), None).num_matches for name in names for word in every)


def is_value_absent(inbox: Inbox, draft: Draft, noun: str) -> bool:
    """Return whether no mail of that person, of any time, holds all words of a topic and maybe a value called `noun`.

    Mails with attachments may hold anything.
    """
    for topic in draft.topics:
        result = _from_person(inbox, topic.words, draft, When(""))
        if result.num_matches > len(result.hits):
            return False
        found = (inbox.read(hit.number, as_of=None) for hit in result.hits)
        emails = [stored.email for stored in found if stored is not None]
        if any(email.attachments or may_hold(noun, f"{email.subject}\n{email.body}") for email in emails):
            return False
    return True


def _are_all(result: SearchResult, ids: Sequence[str], *, may_be_none: bool = False) -> bool:
    hits = {hit.message_id for hit in result.hits}
    return (bool(hits) or may_be_none) and hits <= set(ids) and result.num_matches <= len(ids)


def _wordings(draft: Draft) -> list[Sequence[str]]:
    """Return the words of each topic, as they stand in the mail, as they are asked, and with another one for each."""
    plain = [*(topic.words for topic in draft.topics), *map(asked_words, draft.said)]
    other = [
        (*keywords[:place], form, *keywords[place + 1 :])
        for keywords in plain
        for place, word in enumerate(keywords)
        for form in sorted(forms(word))
        if " " not in form
    ]
    return list(dict.fromkeys(map(tuple, [*plain, *other])))


def _find(inbox: Inbox, keywords: Sequence[str], asked_on: date | None) -> SearchResult:
    as_of = None if asked_on is None else datetime.combine(asked_on, time.max, UTC)
    return inbox.search(SearchQuery(tuple(keywords)), as_of=as_of, limit=NUM_HITS, snippet_chars=0)


def _from_person(inbox: Inbox, keywords: Sequence[str], draft: Draft, when: When) -> SearchResult:
    """Search mail from the person, or to them by the owner, under the name that the question uses."""
    sender: str | None = inbox.owner.email if draft.is_by_owner else draft.who
    recipient = draft.who if draft.is_by_owner else None
    if not draft.is_named:
        sender = None
    query = SearchQuery(tuple(keywords)[:MAX_KEYWORDS], sender, recipient, when.first, when.last)
    as_of = datetime.combine(draft.asked_on, time.max, UTC)
    return inbox.search(query, as_of=as_of, limit=NUM_HITS, snippet_chars=0)
