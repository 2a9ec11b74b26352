"""Does a given answer say one form of the gold answer? By typed values where the form has some, else by words.

Knows nothing of doubt and contradiction: `answers` weighs those.
"""

from __future__ import annotations

from rewards.compare import satisfies
from rewards.gold import GoldForm, GoldKey
from rewards.values import Parsed, Value, parse, singular
from rewards.wording import (
    DENIALS,
    DOUBTS,
    GENERIC_NOUNS,
    TITLES,
    content,
    core,
    is_inside,
    items,
    same_person,
    stem,
)

_PRONOUNS = frozenset("it they he she we i that this".split())
_VERBS = frozenset("did do does has have had is are was were will would can could".split())
_YET = frozenset(("already",))
_BARE = frozenset({"number", "polarity"})  # said in passing about anything: a sentence around them must be on topic


def match_form(parsed: Parsed, given: str, form: GoldForm, key: GoldKey) -> bool | None:
    """Return True when `given` says `form`, False for a namesake of the person asked for, else None."""
    if form.required:
        return True if _match_values(parsed, form, key) else None
    if not form.content:
        return None
    said = content(parsed.tokens)
    if said == form.content or _same_but_for_generic_nouns(said, form.content):
        return True
    if key.is_person and len(form.items) == 1 and not set(form.content) & GENERIC_NOUNS:
        name = tuple(word for word in said if singular(word) not in key.asked)
        verdict = same_person(name, form.content)
        if verdict or (verdict is False and not any(is_inside(other.content, said) for other in key.forms)):
            return verdict  # no namesake in "the mail says it was Ann Lee"
    if len(form.items) > 1 and _same_items(given, form, key):
        return True
    return True if is_inside(form.content, said) and _is_on_topic(said, key) else None


def with_polarity(parsed: Parsed, key: GoldKey) -> Parsed:
    """Return `parsed` with the yes or no that "they did" and "it has not arrived" say when asked whether."""
    if "polarity" not in key.kinds or key.asked & (DENIALS | {"or"}) or not parsed.words:
        return parsed
    if any(value.kind == "polarity" for value in parsed.values) or parsed.tokens[0] != parsed.words[0]:
        return parsed
    is_denied = not DENIALS.isdisjoint(parsed.words)
    if not all(
        singular(word) in key.asked or stem(word) in key.stems
        for word in content(parsed.words)
        if word not in DENIALS | _YET
    ):
        return parsed
    is_short = parsed.words[0] in _PRONOUNS and (is_denied or (len(parsed.words) > 1 and parsed.words[1] in _VERBS))
    if not (is_short or parsed.words == ("not", "yet")):
        return parsed
    return parsed._replace(values=(Value("polarity", unit="no" if is_denied else "yes"), *parsed.values))


def _match_values(parsed: Parsed, form: GoldForm, key: GoldKey) -> bool:
    """Whether every required value has its own value in the given answer, in order where order matters."""
    free = list(range(len(parsed.values)))
    taken: dict[str, list[int]] = {}
    is_bare = False
    for gold in form.required:
        fits = (i for i in free if satisfies(parsed.values[i], gold, key.asked, key.known))
        if (index := next(fits, None)) is None:
            return False
        free.remove(index)
        taken.setdefault(gold.kind, []).append(index)
        is_bare = is_bare or parsed.values[index].kind in _BARE
        if parsed.values[index].kind != gold.kind and gold.kind != "ordinal" and len(parsed.values) > 1:
            return False  # "4820" may stand for $4,820 only when it is all that is said
    if form.is_ordered and any(indices != sorted(indices) for indices in taken.values()):
        return False
    if form.is_ordered and _is_turned_round(parsed.words):
        return False
    units = {parsed.values[index].unit for indices in taken.values() for index in indices}  # "90 minutes": "1.5 hours"
    if is_bare and not all(_is_known(word, key) or singular(word) in units | DOUBTS for word in content(parsed.words)):
        return False
    return form.required_words <= set(parsed.words)


def _is_turned_round(words: tuple[str, ...]) -> bool:
    """Whether a change is told from its end: "to $4 from $2"."""
    return "from" in words and "to" in words[: words.index("from")]


def _is_on_topic(said: tuple[str, ...], key: GoldKey) -> bool:
    """Whether all words beyond the gold answer's own are the question's, titles, or nouns like "room"."""
    return all(_is_known(word, key) or word in GENERIC_NOUNS or word in TITLES for word in said)


def _is_known(word: str, key: GoldKey) -> bool:
    return singular(word) in key.known or stem(word) in key.known


def _same_but_for_generic_nouns(said: tuple[str, ...], gold: tuple[str, ...]) -> bool:
    """ "Watteau" is "Watteau Room", but "Green Room" is not "Green Bank"."""
    if core(said) != core(gold):
        return False
    ours, theirs = set(said) - set(core(said)), set(gold) - set(core(gold))
    return ours <= theirs or theirs <= ours


def _same_items(given: str, form: GoldForm, key: GoldKey) -> bool:
    """Whether both are lists of the same things in any order; people may be called by their family names."""
    rest = [core(content(parse(item).tokens)) for item in items(given)]
    if len(rest) != len(form.items):
        return False
    for gold in form.items:
        same = (i for i, said in enumerate(rest) if said == gold or (key.is_person and same_person(said, gold)))
        if (index := next(same, None)) is None:
            return False
        del rest[index]
    return True
