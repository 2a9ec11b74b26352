"""What a mail is about, in words that a person would remember: names, noun phrases, the subject.

Phrases are found by how they stand in the text (after an article or a preposition, capitalised inside a sentence) and
weighed by how rare their words are in the inbox. English only; other mail gives subjects and names. Pure.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from inbox_env.known_items.mails import KnownMail
from inbox_env.known_items.words import DULL, plural, singular
from inbox_env.search.folding import words

MIN_MAILS = 2  # a word of one mail alone would be found by itself
MAX_SHARE = 0.04  # of all mails that the rarest word of a topic may occur in
MAX_PHRASE, MAX_NOUN_PHRASE = 3, 2  # longer runs of words after an article often hold a verb
MAX_BEFORE = 2  # dull words before the phrase of a subject
_LOWER_SHARE = 0.45  # a word that stands in lower case this often is no name
_SHORT_LINE = re.compile(r"^(.{0,50})\n", re.MULTILINE)  # nothing runs on over its end
_TOKEN = re.compile(r"[^\W\d_]+(?:['’&-][^\W\d_]+)*|[^\w\s]|\d+|\n\s*\n")

_BEFORE_NOUN = frozenset("a an the our your my their his her its these".split())
_HEADS = frozenset(
    (
        "account accounts address amount area case changes comments contact contacts copy cost date dates day "
        "details document documents file files form forms group info information issue issues items letter level "
        "line list manager meeting model month name names note notes number numbers office order people person plan "
        "plans points process program project projects questions report request requests results review schedule "
        "section sheet space staff status summary system team time times update updates visit week work year"
    ).split()
)  # dull nouns: what stands before one is half of a compound ("background" of "background information")
_ABBREVIATED = frozenset(
    (
        "assoc ave bldg bros comm conf corp dept dist div est gen gov inst intl ltd mgmt mgr mtg natl prof st univ vs"
    ).split()
)
_DRAWLED = re.compile(r"(.)\1\1")
_SHOUTED_SHARE = 0.5  # of the letters
_NO_NOUN = re.compile(r".*(?:ly|ed|able|ible|ful|ous|ish|less|ental|onal|ical)$")


@dataclass(frozen=True, slots=True)
class Topic:
    """A phrase of a mail as a question says it, and its words as they are searched.

    Unless `is_telling` it is a single word said in passing: alone it brings no mail to mind.
    """

    text: str
    words: tuple[str, ...]
    weight: float
    is_telling: bool = True


@dataclass(frozen=True, slots=True)
class _Phrase:
    tokens: tuple[str, ...]
    source: Literal["name", "noun", "subject"]


class TermCounts:
    """In how many mails of an inbox the words and pairs of words of `mails` occur, and how often in lower case."""

    def __init__(self, mails: Iterable[KnownMail]) -> None:
        self._words: set[str] = set()
        self._pairs: set[tuple[str, str]] = set()
        for mail in mails:
            found = words(f"{mail.topic} {mail.text}")
            self._words.update(found, map(plural, found), map(singular, found))
            self._pairs.update(pairwise(found))
        self._mails: Counter[str | tuple[str, str]] = Counter()
        self._spelled: Counter[str] = Counter()
        self._lower: Counter[str] = Counter()
        self.num_mails = 0

    def add(self, subject: str, text: str) -> None:
        """Count one mail."""
        self.num_mails += 1
        found = words(f"{subject} {text}")
        self._mails.update(self._words.intersection(found))
        self._mails.update(self._pairs.intersection(pairwise(found)))
        spelled = [token for token in _TOKEN.findall(text) if token.lower() in self._words]
        self._spelled.update(token.lower() for token in spelled)
        self._lower.update(token for token in spelled if token.islower())

    def num_with(self, word: str) -> int:
        """Return the number of mails that hold a word."""
        return self._mails[word]

    def is_repeated(self, phrase: Sequence[str]) -> bool:
        """Whether every pair of neighbours of a phrase stands so in more than one mail."""
        return all(self._mails[pair] > 1 for pair in pairwise(phrase))

    def is_common_noun(self, token: str) -> bool:
        """Whether people write the word in lower case."""
        low = token.lower()
        return self._lower[low] >= _LOWER_SHARE * self._spelled[low] > 0

    def idf(self, word: str) -> float:
        """Return how rare a word is; 0 when every mail has it."""
        return math.log((1 + self.num_mails) / (1 + self._mails[word]))


def topics(mail: KnownMail, counts: TermCounts, owner: Sequence[str], people: frozenset[str]) -> list[Topic]:
    """Return what `mail` is about, the most telling first.

    Words of the names of its person and the `owner` do not count, nor does a single word of any of `people`'s names.
    """
    found: dict[tuple[str, ...], Topic] = {}
    ours = (*owner, *words(mail.person))
    text = Counter(words(f"{mail.topic} {mail.text}"))
    for phrase in (*_subject(mail.topic), *_phrases(mail.text)):
        topic = _topic(phrase, counts, text)
        if topic is None or topic.words in found or (len(topic.words) == 1 and topic.words[0] in people):
            continue
        if not any(_is_form(word, name) for word in topic.words for name in ours):
            found[topic.words] = topic
    return sorted(found.values(), key=lambda topic: (-topic.weight, topic.words))


def _topic(phrase: _Phrase, counts: TermCounts, text: Counter[str]) -> Topic | None:
    searched = tuple(word for token in phrase.tokens for word in words(token))
    is_loud = len(phrase.tokens) > 1 and all(token.isupper() and len(token) > 4 for token in phrase.tokens)
    if any(_is_odd(word, counts) for word in searched) or (is_loud and phrase.source == "name"):
        return None
    is_common = [token.islower() or counts.is_common_noun(token) for token in phrase.tokens]
    if sum(map(len, searched)) < 3 or (phrase.source == "name" and all(is_common)):
        return None
    rarest = min(counts.num_with(word) for word in searched)
    if not MIN_MAILS <= rarest <= max(8, MAX_SHARE * counts.num_mails):
        return None
    times = max(text[word] for word in searched)
    is_single = len(searched) == 1 and (is_common[0] or phrase.source == "noun")
    if is_single and ((phrase.source == "noun" and times < 2) or searched[0].endswith("ing")):
        return None  # a noun said once is seldom what a mail is about
    if phrase.source == "noun" and not counts.is_repeated(searched):
        return None  # chance neighbours, as a noun and its verb
    boost = {"subject": 1.4, "name": 1.2, "noun": 1.0}[phrase.source] * (1 + 0.25 * min(3, times - 1))
    weight = boost * sum(counts.idf(word) for word in searched) / math.sqrt(len(searched))
    is_telling = phrase.source == "subject" or len(searched) > 1 or times > 1
    return Topic(_text(phrase, is_common), searched, weight, is_telling)


def _text(phrase: _Phrase, is_common: Sequence[bool]) -> str:
    """Return the phrase as it is said: names as they are written, an article before a noun."""
    if phrase.source == "name":
        return " ".join(phrase.tokens)
    spelled = [_spell(token, common) for token, common in zip(phrase.tokens, is_common, strict=True)]
    return ("the " if is_common[-1] or phrase.source == "noun" else "") + " ".join(spelled)


def _spell(token: str, is_common: bool) -> str:
    if is_common:
        return token.lower()
    is_shouted = token.isupper() and len(token) > 5
    return token.capitalize() if is_shouted else token


def _subject(subject: str) -> Iterator[_Phrase]:
    """Yield a subject that is one phrase, less its dull ends."""
    tokens, num_before, after = _TOKEN.findall(subject), 0, ""
    while tokens and _is_dull(tokens[0]):
        num_before += tokens[0].isalpha()
        tokens = tokens[1:]
    if num_before > MAX_BEFORE:
        return  # a sentence: "where do you want to eat"
    while tokens and _is_dull(tokens[-1]):
        *tokens, after = tokens
    is_whole = 1 <= len(tokens) <= MAX_PHRASE and not any(map(_is_dull, tokens)) and after.lower() not in _HEADS
    if is_whole and not _NO_NOUN.match(tokens[-1].lower()):
        yield _Phrase(tuple(tokens), "subject")


def _phrases(text: str) -> Iterator[_Phrase]:
    if _is_shouted(text):
        return
    tokens = ["\n\n", *_TOKEN.findall(_SHORT_LINE.sub(r"\1\n\n", text)), "\n\n"]
    start = 1
    while start < len(tokens):
        end = start
        while end < len(tokens) and not _is_dull(tokens[end]):
            end += 1
        if start < end <= start + MAX_PHRASE and tokens[end].lower() not in _HEADS:
            yield from _run(tokens[start - 1], tokens[start:end])
        start = max(end, start) + 1


def _run(before: str, run: Sequence[str]) -> Iterator[_Phrase]:
    """Yield the phrase of a run of telling words: a name inside a sentence, or a noun after an article."""
    is_inside = before.isalpha() or before == ","
    is_noun_after_article = len(run) == 1 and before.lower() in _BEFORE_NOUN and not run[0].isupper()
    if is_inside and not is_noun_after_article and all(token[0].isupper() for token in run):
        yield _Phrase(tuple(run), "name")
    elif len(run) <= MAX_NOUN_PHRASE and before.lower() in _BEFORE_NOUN and not _NO_NOUN.match(run[-1].lower()):
        if len(run) > 1 and run[-1].endswith("ing"):
            return  # "the ball rolling"
        yield _Phrase(tuple(run), "noun")


def _is_shouted(text: str) -> bool:
    """Whether a text is in capitals, which then mark no names."""
    return sum(map(str.isupper, text)) > _SHOUTED_SHARE * sum(map(str.isalpha, text))


def _is_odd(word: str, counts: TermCounts) -> bool:
    """Whether a word seems to be cut short, drawn out, or a slip for a much more frequent one ("Shirely")."""
    if word in _ABBREVIATED or word == "non" or _DRAWLED.search(word):
        return True
    if len(word) < 5:
        return False
    swapped = (word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in range(len(word) - 1))
    without = (word[:at] + word[at + 1 :] for at in range(1, len(word) - 1))
    return any(
        counts.num_with(other) > 10 * counts.num_with(word) for other in (*swapped, *without) if other != singular(word)
    )


def _is_form(word: str, name: str) -> bool:
    """Whether a word may be a form of a name, as Ben of Benjamin."""
    return len(word) > 2 and len(name) > 2 and (name.startswith(word) or word.startswith(name))


def _is_dull(token: str) -> bool:
    is_short = len(token) < 2 or (len(token) == 2 and not token[0].isupper())
    if is_short or not token[0].isalpha() or "'" in token or "’" in token:
        return True
    low = token.lower()
    return low in DULL or ("-" in low and not DULL.isdisjoint(low.split("-")))
