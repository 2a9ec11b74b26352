"""A demonstrator for known-item questions: somebody who half remembers a mail, and searches what they remember of it.

It takes one word for the person and one for the topic, or two of the topic, and drops one where nothing is found. In
hindsight, which the gold labels allow on training inboxes, most of its searches are such that list the mail; the others
show what to do when one does not. It opens the mail that was meant and cites it. What it teaches is which words of a
question to search and which hit to open.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from agent.policies.question_words import content_words, proper_names
from agent.policies.scripted import Gold, Script, ScriptedPolicy, answer, hit_numbers, perfect_reader, read, search
from inbox_env.actions import Opening
from inbox_env.questions import Question

IsListed = Callable[[Question, tuple[str, ...]], bool]
MAX_SEARCHES = 4
NUM_SEARCHES_TO_ABSTAIN = 2
HINDSIGHT = 0.8  # of the searches; the others are drawn blindly
ONE_WORD = 0.15
PERSON = 0.6  # of the pairs: one word is the person's
MAX_TRIES = 12
ANSWER = "in this mail"  # find mode judges the mail that is cited, not the words

_TIMES = frozenset(
    (
        "january february march april may june july august september october november december spring summer autumn "
        "winter early middle end towards around ago day days week weeks month months year years few couple two three"
    ).split()
)
_ASKING = frozenset(
    "find looking mail mails message note mention mentions something send sent came wrote write".split()
)


def recall(gold: Gold, is_listed: IsListed, seed: int = 0) -> ScriptedPolicy:
    """Return the policy; `is_listed` says whether a search for these words lists a gold mail on its first page."""

    def script(opening: Opening, random: Random) -> Script:
        return _play(gold[opening.question_id], is_listed, random)

    return ScriptedPolicy("recall", script, perfect_reader(gold), seed)


def remembered(question: str) -> tuple[list[str], list[str]]:
    """Return the words of a question that name people, and the other ones, without times and what every one says."""
    names = {word for name in proper_names(question)[:1] for word in name.split()}
    words = [word for word in content_words(question) if not _is_about_asking(word)]
    return [word for word in words if word in names], [word for word in words if word not in names]


def _play(question: Question, is_listed: IsListed, random: Random) -> Script:
    tried: set[tuple[str, ...]] = set()
    for _ in range(MAX_SEARCHES if question.answerable else NUM_SEARCHES_TO_ABSTAIN):
        keywords = _choose(question, is_listed, tried, random)
        if keywords is None:
            break
        tried.add(keywords)
        observation = yield search(*keywords)
        listed = observation.results[0].listed
        found = [
            number
            for number, message_id in zip(hit_numbers(observation), listed, strict=True)
            if message_id in question.message_ids
        ]
        if found:
            yield read(found[0])
            yield answer(ANSWER, found[:1])
    yield answer(None)


def _choose(
    question: Question, is_listed: IsListed, tried: set[tuple[str, ...]], random: Random
) -> tuple[str, ...] | None:
    """Return words not tried yet, mostly such as list the mail; None when there are no others."""
    people, topic = remembered(question.question)
    drawn = [_draw(people, topic, random) for _ in range(MAX_TRIES)]
    untried = [words for words in dict.fromkeys(drawn) if words and words not in tried]
    if question.answerable and random.random() < HINDSIGHT:
        return next((words for words in untried if is_listed(question, words)), untried[0] if untried else None)
    return untried[0] if untried else None


def _draw(people: Sequence[str], topic: Sequence[str], random: Random) -> tuple[str, ...]:
    """Return the person's last word with one of the topic, two of the topic in their order, or one of it alone."""
    if not topic:
        return tuple(people[-1:])
    if random.random() < ONE_WORD:
        return (random.choice(topic),)
    if people and (len(topic) < 2 or random.random() < PERSON):
        return (people[-1], random.choice(topic))
    places = sorted(random.sample(range(len(topic)), min(2, len(topic))))
    return tuple(topic[place] for place in places)


def _is_about_asking(word: str) -> bool:
    return word.lower() in _TIMES or word.lower() in _ASKING or word.isdigit()
