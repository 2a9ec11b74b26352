"""The demonstrator: a searcher that is mediocre on purpose, and the oracle that shows the ceiling.

The demonstrator does everything that a good agent does, but chooses badly most of the time: too many words, the
first hit, an early "I don't know", a guess. Imitating it teaches the moves; only reward teaches the choices.
Both are told the gold answers, which their scripts use for reading and (sometimes) for recognising a hit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from agent.policies.question_words import content_words, proper_names
from agent.policies.readers import guess_answer
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

NameMail = Callable[[Question, str], int | str]
MAX_SEARCHES = 4
MAX_READS = 3


@dataclass(frozen=True, slots=True)
class Habits:
    """How often the demonstrator does what, at each choice."""

    one_name: float = 0.35  # keywords: one name; two names; a name and another word; else two to four words
    two_names: float = 0.25
    name_and_word: float = 0.20
    stop_at_nothing: float = 0.25  # nothing found: "I don't know"
    gold_hit: float = 0.5  # opens the gold mail when it is listed
    search_on: float = 0.3  # does not open anything when it is not
    first_hit: float = 0.7  # else opens the first hit, not just any
    guess: float = 0.4  # after a wrong mail: answers with a guess; gives up; searches on; else opens another
    give_up: float = 0.1
    leave: float = 0.3


MEDIOCRE = Habits()
# Opens the gold mail as soon as it is listed and nothing before: for lessons on choosing among hits.
CAREFUL = Habits(one_name=0.4, two_names=0.3, stop_at_nothing=0.0, gold_hit=1.0, search_on=1.0)
# No choice is random: teaches where a keyword and an id are copied from, which uniform choices hide for long.
PLAIN = Habits(1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)


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
        self._names = [part for name in proper_names(question.question) for part in _name_forms(name)]
        self._words = content_words(question.question)
        self._listed: dict[int, str] = {}
        self._gold_opened: list[int] = []
        self._opened: set[int] = set()

    def play(self) -> Script:
        """Search, look, read and answer, with a bad choice at every other step."""
        for _ in range(MAX_SEARCHES):
            observation = yield search(*self._keywords())
            numbers = hit_numbers(observation)
            if not numbers:
                if self._chance(self._habits.stop_at_nothing):
                    break
                continue
            self._listed.update(zip(numbers, observation.results[0].listed, strict=True))
            wants_more = yield from self._read_hits(numbers)
            if not wants_more:
                break
        yield answer(None)

    def _read_hits(self, numbers: Sequence[int]) -> SubScript:
        """Open mails of one hit list; returns whether to search again."""
        for _ in range(MAX_READS):
            number = self._choose(numbers)
            if number is None:
                return True
            observation = yield read(number)
            self._opened.add(number)
            if self._is_gold(number):
                self._gold_opened.append(number)
                if len(self._gold_opened) == len(self._question.message_ids):
                    yield answer(self._question.answer, self._gold_opened)
                continue
            draw = self._random.random()
            if (draw := draw - self._habits.guess) < 0:
                guess = guess_answer(observation.results[0].content)
                yield answer(guess, [number] if guess else [])
            if (draw := draw - self._habits.give_up) < 0:
                return False
            if draw - self._habits.leave < 0:
                return True
        return True

    def _keywords(self) -> list[str]:
        """Return one name, two names, a name with another word, or (too many) words, in the question's order."""
        habits, draw = self._habits, self._random.random()
        self._num_searches += 1
        if habits is PLAIN:
            choices = self._names or self._words
            return [choices[(self._num_searches * 2 - 1) % len(choices)]]
        if (draw := draw - habits.one_name) < 0 and self._names:
            return [self._random.choice(self._names)]
        if (draw := draw - habits.two_names) < 0 and len(self._names) > 1:
            return self._in_order(self._names, 2)
        if draw - habits.name_and_word < 0 and self._names:
            return [self._random.choice(self._names), self._random.choice(self._words)]
        return self._in_order(self._words, self._random.choice((2, 3, 4)))

    def _in_order(self, words: list[str], count: int) -> list[str]:
        places = self._random.sample(range(len(words)), min(len(words), count))
        return list(dict.fromkeys(words[place] for place in sorted(places)))

    def _choose(self, numbers: Sequence[int]) -> int | None:
        fresh = [number for number in numbers if number not in self._opened]
        if not fresh:
            return None
        gold = [number for number in fresh if self._is_gold(number)]
        if gold and self._chance(self._habits.gold_hit):
            return gold[0]
        if not gold and self._chance(self._habits.search_on):
            return None
        return fresh[0] if self._chance(self._habits.first_hit) else self._random.choice(fresh)

    def _is_gold(self, number: int) -> bool:
        return self._listed.get(number) in self._question.message_ids

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability


def _name_forms(name: str) -> list[str]:
    """Return a name as a searcher may type it: whole, or its last word."""
    return [name, name.split()[-1]]
