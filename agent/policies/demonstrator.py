"""The demonstrator: a searcher that is mediocre on purpose, and the oracle that shows the ceiling.

The demonstrator does everything that a good agent does, but chooses badly most of the time: too many words, the
first hit, an early "I don't know". Imitating it teaches the moves; only reward teaches the choices.
Both are told the gold answers, which their scripts use for reading and (sometimes) for recognising a hit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from agent.policies.question_words import content_words, proper_names
from agent.policies.scripted import (
    Gold,
    Script,
    ScriptedPolicy,
    SubScript,
    answer,
    hit_numbers,
    perfect_reader,
    read,
    search,
)
from inbox_env.actions import Opening
from inbox_env.questions import Question
from inbox_env.synthetic.kinds import mail_word

NameMail = Callable[[Question, str], int | str]
MAX_SEARCHES = 3
MAX_READS = 5


@dataclass(frozen=True, slots=True)
class Habits:
    """How often the demonstrator does what, at each choice. It opens hits in the order in which they are listed."""

    one_name: float = 0.5  # keywords: one name; two names; a name and what such mails say; else too many words
    two_names: float = 0.0
    mail_word: float = 0.2
    stop_at_nothing: float = 0.4  # nothing found: "I don't know"
    give_up: float = 0.2  # after a wrong mail: "I don't know"; searches on; else opens the next
    leave: float = 0.6
    overlook: float = 0.7  # the right mail is not recognised, unless the search was for what such mails say


# Random between few ways, each of which follows from what can be seen: a choice among all words or all hits looks
# like noise to a small model, and unlearns where keywords and ids are copied from (EXPERIMENTS.md).
MEDIOCRE = Habits()
# Nothing but the number of keywords is random: teaches where a keyword, an id and an answer are copied from.
PLAIN = Habits(one_name=0.3, two_names=0.3, mail_word=0.4, stop_at_nothing=0.0, give_up=0.0, leave=0.0, overlook=0.0)


def demonstrator(gold: Gold, seed: int = 0, habits: Habits = MEDIOCRE) -> ScriptedPolicy:
    """Return the mediocre policy that the warm start imitates."""

    def script(opening: Opening, random: Random) -> Script:
        return _Demonstration(gold[opening.question_id], random, habits).play()

    return ScriptedPolicy("demonstrator", script, perfect_reader(gold), seed)


def oracle(gold: Gold, name_mail: NameMail | None = None) -> ScriptedPolicy:
    """Return the policy that opens the gold mails straight away: the ceiling of the environment.

    It names mails by Message-ID, or as `name_mail` does (by the short id that a searcher would have seen).
    """

    def script(opening: Opening, _: Random) -> Script:
        question = gold[opening.question_id]
        for message_id in question.message_ids:
            yield read(name_mail(question, message_id) if name_mail else message_id)
        if question.answer is None:
            yield answer(None)
        yield None

    return ScriptedPolicy("oracle", script, perfect_reader(gold))


class _Demonstration:
    """One demonstration: what was tried, opened and found so far."""

    def __init__(self, question: Question, random: Random, habits: Habits) -> None:
        self._question, self._random, self._habits = question, random, habits
        self._num_searches = 0
        self._names = list(dict.fromkeys(name.split()[-1] for name in proper_names(question.question)))
        self._words = content_words(question.question)
        self._mail_word = mail_word(question.question)
        self._listed: dict[int, str] = {}
        self._gold_opened: list[int] = []
        self._opened: set[int] = set()

    def play(self) -> Script:
        """Search, look, read and answer, with a bad choice at every other step."""
        for _ in range(MAX_SEARCHES):
            keywords = self._keywords()
            observation = yield search(*keywords)
            numbers = hit_numbers(observation)
            if not numbers:
                if self._chance(self._habits.stop_at_nothing):
                    break
                continue
            self._listed.update(zip(numbers, observation.results[0].listed, strict=True))
            wants_more = yield from self._read_hits(numbers, is_sure=self._mail_word in keywords)
            if not wants_more:
                break
        yield answer(None)

    def _read_hits(self, numbers: Sequence[int], *, is_sure: bool) -> SubScript:
        """Open mails of one hit list; returns whether to search again."""
        for _ in range(MAX_READS):
            number = next((number for number in numbers if number not in self._opened), None)
            if number is None:
                return True
            yield read(number)
            self._opened.add(number)
            if self._is_gold(number) and (is_sure or not self._chance(self._habits.overlook)):
                self._gold_opened.append(number)
                if len(self._gold_opened) == len(self._question.message_ids):
                    yield answer(self._question.answer, self._gold_opened)
                continue
            draw = self._random.random()
            if (draw := draw - self._habits.give_up) < 0:
                return False
            if draw - self._habits.leave < 0:
                return True
        return True

    def _keywords(self) -> list[str]:
        """Return one name, two, one and the mails' own word, or one and the words after it; each time another name."""
        first = self._num_searches
        self._num_searches += 1
        draw = self._random.random() - self._habits.one_name
        if draw < 0 and self._names:
            return _turned(self._names, first)[:1]
        if (draw := draw - self._habits.two_names) < 0 and len(self._names) > 1:
            return _turned(self._names, first)[:2]
        if draw - self._habits.mail_word < 0 and self._names and self._mail_word:
            return [*_turned(self._names, first)[:1], self._mail_word]
        return _turned(self._words, first)[: self._random.choice((3, 4))]

    def _is_gold(self, number: int) -> bool:
        return self._listed.get(number) in self._question.message_ids

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability


def _turned(words: list[str], first: int) -> list[str]:
    """Return the words from number `first` on, and then the ones before it."""
    start = first % len(words) if words else 0
    return words[start:] + words[:start]
