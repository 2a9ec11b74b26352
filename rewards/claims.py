"""What an answer claims in the end: "not A but B" and "A, later changed to B" both claim B.

Knows nothing of questions or of right and wrong.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from rewards.values import parse, without_kinds
from rewards.wording import GENERIC_NOUNS, STOP_WORDS, TITLES, says_something


class Claim(NamedTuple):
    """The text that stays, what it denies, and whether something in it took the place of something earlier."""

    text: str
    denied: tuple[str, ...] = ()
    is_changed: bool = False


_STUFF = (
    r"(?>[^,;()\n.]|\.(?=\S)|(?<=\b[apAP])\.|(?<=\b[ap]\.m)\.|(?<=\b[A-Z])\.|(?<=\bSt)\.|(?<=\b[DM]r)\."
    r"|,(?=\d{3}\b)|,(?=\s(?:19|20)\d\d\b))"
)
_PART = rf"(?P<part>{_STUFF}{{1,80}}?)"
_END = r"(?=[\s.)]*$)"  # a comma would leave the rest of what is denied: "not Monday, March 5"
_WHICH = r"(?:it|that|this|they|we|he|she)"
_BE = r"(?:\s(?:is|was|are|were|did|will be|would be)|'s)?"
_NOT = r"(?:\s?n't|\s?\bnot|\s?\bnever)"
_WRONG = r"(?:is|was)\s(?:wrong|incorrect|false|not right|not correct|not true)\b"
_DENIALS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\bnot\s(?!only|just|merely|simply){_PART},?\sbut\s(?!also\b|not\b)(?:rather\s|instead\s)?",
        rf"^{_WHICH}{_BE}{_NOT}\s{_PART}\s*[,;.:]\s+(?={_WHICH}\b|but\b|rather\b)",
        rf"[\s,;(]{{1,4}}+(?:and\s|but\s)?not\s{_PART}{_END}",
        rf"[\s,;(]{{1,4}}+(?:rather than|instead of|as opposed to)\s{_PART}{_END}",
        rf"^{_PART}\s{_WRONG}[\s,;.:]*",
    )
)
_ONLY_DENIAL = re.compile(
    rf"^(?:{_WHICH}{_BE})?{_NOT}\s(?P<part>(?:(?!\b(?:but|instead|rather|{_WHICH})\b)[^;\n])+?)[\s.!]*$", re.IGNORECASE
)
_ONLY_WRONG = re.compile(rf"^(?P<part>[^;\n]+?)\s{_WRONG}[\s.!]*$", re.IGNORECASE)
_CHANGED = (
    r"(?:changed|moved|corrected|revised|lowered|raised|cut|increased|reduced|amended|updated|rescheduled|postponed"
    r"|shifted|switched|relocated|pushed back|brought forward|put off)"
)
_CHANGES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"[\s,;(-]{1,4}+(?:and|but|which|it|he|she|they|then|later|subsequently|finally|eventually|afterwards|was|were|got|has"
        rf"|had|been|since|\s|,){{0,12}}+\b{_CHANGED}\s(?:it\s|this\s|them\s)?(?:to|until|till)\s",
        r"[\s,;(-]{1,4}+(?:and\s|but\s)?(?:then|later|since)\s(?:was\s)?replaced (?:by|with)\s",
    )
)
_FORMER = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\((?:it\s)?(?:was|were)\s{_PART}\s(?:before|previously|originally|at first|until then)\)",
        rf"[\s,(]{{1,4}}+(?:formerly|previously|originally)\s{_PART}(?:[)]|{_END})",
    )
)
_AMOUNTS = {"money", "number", "percent"}
_AT_FIRST = re.compile(r"\b(?:originally|previously|initially|formerly|at first)\b", re.IGNORECASE)
_HEDGES = frozenset(
    "yet sure certain clear known confirmed final only just merely even really quite all any until".split()
)
_WORD = re.compile(r"[^\W\d_][\w'-]*")


def claim_of(text: str) -> Claim:
    """Return the claim of an answer; a text that only denies has no text left."""
    denied: list[str] = []
    for pattern in _DENIALS:
        found = pattern.search(text)
        if found and is_answer_like(found["part"]):
            rest = f"{text[: found.start()]} {text[found.end() :]}"
            if says_something(rest):
                denied.append(found["part"])
                text = rest
    if not denied and (found := _ONLY_DENIAL.match(text) or _ONLY_WRONG.match(text)):
        return Claim("", (found["part"],))
    latest = _latest(text)
    return Claim(latest, tuple(denied), latest != text)


def is_answer_like(part: str) -> bool:
    """Return whether `part` can be an answer of its own, a value or names: "$5, not confirmed" denies nothing."""
    words = _WORD.findall(part)
    said = [word for word in words if word.casefold() not in STOP_WORDS | GENERIC_NOUNS | TITLES]
    if words and words[0].casefold() in _HEDGES:
        return False
    return bool(parse(part).values) or (bool(said) and all(word[0].isupper() for word in said))


def _latest(text: str) -> str:
    """What holds after the last change; of what went before it, only values of other types stay."""
    for pattern in _FORMER:
        found = pattern.search(text)
        if found and is_answer_like(found["part"]):
            text = f"{text[: found.start()]} {text[found.end() :]}"
    changes = [found for pattern in _CHANGES for found in pattern.finditer(text)]
    if not changes:
        return text
    last = max(changes, key=lambda found: found.end())
    before, after = text[: last.start()], text[last.end() :]
    values, words, _ = parse(after)
    if "from" in words:  # "cut to $4 from $2" tells both ends
        return text
    kinds = _rivals({value.kind for value in values})
    earlier = {value.kind for value in parse(before).values}
    if kinds and earlier and not kinds & earlier:  # "at 7 pm, later changed to $5": of what, nobody can say
        return text
    return f"{_AT_FIRST.sub(' ', without_kinds(before, kinds))} {after}" if kinds else after


def _rivals(kinds: set[str]) -> set[str]:
    """The kinds that could stand for one of these: "$5 million, later changed to 6 million"."""
    return kinds | _AMOUNTS if kinds & _AMOUNTS else kinds
