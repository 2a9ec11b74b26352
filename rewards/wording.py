"""Words that say nothing, words that take an answer back, and names of people said in several ways.

Knows nothing of typed values or questions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_STOP = """a about an approximately approx are around as at be been between both by did do does for from had has have he
her his i in into is it its just me my of on our roughly said says she so that the their them then there they this to up
us was we were which will with would yet you your answer final exactly total only also"""
_GENERIC = """auditorium bank bar bldg boardroom building cafe campus center centre club co company conf conference corp
corporation dept department drive floor gmbh group hall hotel inc inn limited llc llp lounge ltd number no office park
plc restaurant road room rm school shop st store street suite team theater theatre tower trip project meeting code"""
_TITLES = "mr mrs ms miss dr prof professor sir madam dean president rev jr sr phd md"
_DOUBTS = """or either maybe perhaps possibly probably not isnt wasnt arent werent dont doesnt didnt never neither nor
none nobody noone except instead rather unless if else otherwise unlikely hasnt havent hadnt wont wouldnt couldnt
shouldnt but cannot cant unknown unsure guess doubt doubts doubtful false wrong incorrect untrue
mistaken rejected denied refuted"""
_DENIALS = """not isnt wasnt arent werent dont doesnt didnt never hasnt havent hadnt wont wouldnt couldnt shouldnt
cannot cant"""
_BOUNDS = "more less over under above below before after until least most minus plus than beyond nearly almost"
_TURNS = """refused declined cancelled canceled withdrawn disputed retracted changed replaced postponed revised
formerly previously originally waived refunded mistake typo obsolete outdated superseded void voided expired"""
_MEASURES = "second minute hour day week month year mw mwh kw kwh gw gwh bcf kg km cm ft gb mb tb mile"
_NICKNAMES = """william bill will billy,robert bob rob robbie bobby,richard rick dick rich,james jim jimmy,john jack
johnny jon,jeffrey jeff geoffrey geoff,david dave,michael mike mick,christopher chris,christine chris christina tina,
thomas tom tommy,steven stephen steve,edward ed eddie ted,charles charlie chuck,kenneth ken kenny,daniel dan danny,
matthew matt,anthony tony,andrew andy drew,joseph joe,gregory greg,benjamin ben,samuel sam,samantha sam,timothy tim,
elizabeth liz beth betty lisa,katherine catherine kate kathy cathy katie,margaret maggie meg peggy,jennifer jen jenny,
susan sue susie,patricia pat patty,patrick pat,deborah debra deb debbie,rebecca becky,victoria vicky,alexander alex,
alexandra alex,nicholas nick,lawrence larry,raymond ray,ronald ron,donald don,douglas doug,philip phillip phil,
peter pete,frederick fred,gerald jerry,vincent vince,jonathan jon,joshua josh,nathaniel nathan nate,amanda mandy,
pamela pam,cynthia cindy,barbara barb,jessica jess,abigail abby,zachary zach,leonard len,martin marty,walter walt"""

STOP_WORDS = frozenset(_STOP.split())
GENERIC_NOUNS = frozenset(_GENERIC.split())
TITLES = frozenset(_TITLES.split())
DOUBTS = frozenset(_DOUBTS.split())
BOUNDS = frozenset(_BOUNDS.split())
MAIL_WORDS = frozenset("mail mails email emails message note letter memo dated sent wrote written received".split())
DENIALS = frozenset(_DENIALS.split())  # a part of the doubts
TURNS = frozenset(_TURNS.split())
MEASURES = frozenset(_MEASURES.split())
NICKNAMES = tuple(frozenset(group.split()) for group in _NICKNAMES.split(","))

_SEPARATOR = re.compile(r"\s*(?:[,;&\n]|\band\b|\bas well as\b)\s*", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
_ASKED_BOUND = re.compile(r"(\w+)\s(?:what|which|when|how|whom)\b", re.IGNORECASE)
_PERSON = re.compile(r"\b(?:who|whose|whom)\b", re.IGNORECASE)


def content(words: Sequence[str]) -> tuple[str, ...]:
    """Return `words` without those that say nothing."""
    return tuple(word for word in words if word not in STOP_WORDS)


def says_something(text: str) -> bool:
    """Return whether `text` holds a digit or a word that says something."""
    return any(char.isdigit() for char in text) or bool(content(_WORD.findall(text.casefold())))


def stem(word: str) -> str:
    """Return `word` without the endings of verbs and plurals, so that "accepted" is a word of "did they accept?"."""
    for ending in ("ing", "ed", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def core(words: Sequence[str]) -> tuple[str, ...]:
    """Return what is left of content words when "room", "hotel", "Inc." and titles go; all of them when nothing is."""
    return tuple(word for word in words if word not in GENERIC_NOUNS and word not in TITLES) or tuple(words)


def items(text: str) -> tuple[str, ...]:
    """Return the parts of a list: split at commas, semicolons, line ends, "&" and "and"."""
    return tuple(part for part in _SEPARATOR.split(text) if part.strip(" ."))


def asks_for_a_person(question: str) -> bool:
    """Return whether the question asks who."""
    return _PERSON.search(question) is not None


def bounds_asked_for(question: str) -> frozenset[str]:
    """Return the words that a question puts before what it asks for: "until" of "until what time?"."""
    return frozenset(word.casefold() for word in _ASKED_BOUND.findall(question))


def is_inside(part: Sequence[str], whole: Sequence[str]) -> bool:
    """Return whether `part` is a run of neighbours in `whole`."""
    size = len(part)
    return any(tuple(whole[start : start + size]) == tuple(part) for start in range(len(whole) - size + 1))


def same_person(given: Sequence[str], gold: Sequence[str]) -> bool | None:
    """Return True for one person (family name alone will do), False for a namesake, None when unclear."""
    first_given, first_gold = [word for word in given if word not in TITLES], [w for w in gold if w not in TITLES]
    if not first_given or not 2 <= len(first_gold) <= 4:
        return None
    if sorted(first_given) == sorted(first_gold) or first_given == first_gold[-1:]:
        return True
    if len(first_given) > 4 or len(first_given) < 2 or first_given[-1] != first_gold[-1]:
        return None
    return _same_first_name(first_given[0], first_gold[0])


def _same_first_name(one: str, other: str) -> bool:
    if one == other or (1 in (len(one), len(other)) and one[0] == other[0]):
        return True
    return any(one in names and other in names for names in NICKNAMES)
