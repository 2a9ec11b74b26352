"""What keyword heuristics take from a question: its content words and its proper names. Pure."""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W_](?:[\w'&.-]*[^\W_])?")
_STOP = frozenset(
    (
        "a about according after again all also am an and any are as asks asked at be been before but by can "
        "could did do does for from get give given go going had has have he her him his how i if in into is "
        "it its know last latest many may me mean more much must my need now of on or our out over said say "
        "says she should so some tell than that the their them there these they this those to up us wants "
        "was we were what when where which who whom why will with would wrote you your"
    ).split()
)


def content_words(question: str) -> list[str]:
    """Return the words of `question` without stop words, in order, each once."""
    words = [word for word in _words(question) if word.lower() not in _STOP]
    return list(dict.fromkeys(words))


def proper_names(question: str) -> list[str]:
    """Return runs of capitalised words that do not merely begin a sentence, as phrases, in order, each once."""
    names: list[str] = []
    for sentence in re.split(r"(?<=[.?!:])\s+", question):
        run: list[str] = []
        for position, word in enumerate([*_words(sentence), ""]):
            is_name = word[:1].isupper() and word.lower() not in _STOP and (position > 0 or _is_rare(word, sentence))
            if is_name:
                run.append(word)
            elif run:
                names.append(" ".join(run))
                run = []
    return list(dict.fromkeys(names))


def _is_rare(word: str, sentence: str) -> bool:
    """Whether a sentence's first word is a name: another capitalised word or a verb of telling follows it."""
    rest = sentence[len(word) :].split()
    return bool(rest) and (rest[0][:1].isupper() or rest[0] in ("wants", "keeps", "says", "asks", "wrote"))


def _words(text: str) -> list[str]:
    return [word.removesuffix("'s") for word in _WORD.findall(text)]
