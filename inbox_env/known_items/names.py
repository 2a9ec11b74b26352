"""What people are called: by their whole, first or last name, by a form that the mail has not, or misspelt. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container
from random import Random
from types import MappingProxyType

NICKNAME_RATE = 0.5  # of the first names that have another form
_MIN_SPELT = 5  # letters of a name that people misspell
_SHORT = """alexander alex,andrew andy,anthony tony,barbara barb,benjamin ben,bradley brad,charles charlie,christina
tina,christine chris,christopher chris,clifford cliff,cynthia cindy,daniel dan,david dave,deborah debbie,donald don,
douglas doug,edward ed,elizabeth liz,frederick fred,geoffrey geoff,gerald jerry,gregory greg,jacqueline jackie,james
jim,jeffrey jeff,jennifer jen,jessica jess,jonathan jon,joseph joe,joshua josh,judith judy,katherine kate,kathleen
kathy,kenneth ken,kimberly kim,lawrence larry,leonard len,margaret maggie,martin marty,matthew matt,michael mike,
mitchell mitch,nicholas nick,pamela pam,patricia pat,peter pete,philip phil,phillip phil,randall
randy,raymond ray,rebecca becky,richard rick,robert bob,ronald ron,russell russ,samuel sam,sandra sandy,stanley stan,
stephanie steph,stephen steve,steven steve,stuart stu,susan sue,terrence terry,theodore ted,thomas tom,timothy tim,
valerie val,victoria vicky,vincent vince,walter walt,wesley wes,william bill,zachary zach"""
NICKNAMES = MappingProxyType({pair.split()[0]: pair.split()[1].capitalize() for pair in _SHORT.split(",")})
_OWN_NAMES = frozenset("alex chris jackie jerry jess judy kim pat sam sandy terry tina".split())
_NUM_LONG = Counter(NICKNAMES.values())
FULL_NAMES = MappingProxyType(
    {
        short.lower(): name.capitalize()
        for name, short in NICKNAMES.items()
        if _NUM_LONG[short] == 1 and short.lower() not in _OWN_NAMES
    }
    | {"rob": "Robert", "chuck": "Charles", "debra": "Deborah"}
)
"""What a short form is short for, where that is beyond doubt."""

_SLIPS = (("ski$", "sky"), ("sky$", "ski"), ("son$", "sen"), ("sen$", "son"), ("ie", "ei"), ("ei", "ie"), ("ck", "k"),
          ("ph", "f"), ("ey$", "y"), ("([a-z])\\1", "\\1"), ("(?<=[aeiou])([ln])(?=[aeiou])", "\\1\\1"),
          ("(?<=[lnrt])e$", ""), ("(?<!^)y(?=[a-z])", "i"), ("er$", "ar"), ("art$", "ert"), ("mith$", "myth"),
          ("c(?=[aou])", "k"))  # fmt: skip


def draw_name(person: str, random: Random) -> str:
    """Return the whole name, the first or the last."""
    first, *_, last = person.split()
    return random.choices((person, first, last), weights=(60, 25, 15))[0]


def nickname(who: str, person: str, held: Container[str], random: Random, rate: float = NICKNAME_RATE) -> str:
    """Return `who`, which is `person` or a part of it, by another form of the first name, or as it is.

    It is as it is where the last name alone is meant, no other form is known, or that is in `held`.
    """
    first, *rest = who.split()
    other = NICKNAMES.get(first.lower()) or FULL_NAMES.get(first.lower(), "")
    is_last = first != person.split()[0]
    if is_last or not other or other.lower() in held or random.random() >= rate:
        return who
    return " ".join((other, *rest))


def has_other_form(person: str) -> bool:
    """Whether the first name of a person has a short or a long form."""
    first = person.split()[0].lower()
    return first in NICKNAMES or first in FULL_NAMES


def long_forms(word: str) -> set[str]:
    """Return the other forms of a first name in lower case: "robert" and "rob" may be meant by "bob"."""
    meant = {name for name, short in NICKNAMES.items() if short.lower() == word} | {FULL_NAMES.get(word, word).lower()}
    shorts = {short for short, name in FULL_NAMES.items() if name.lower() in meant}
    return (meant | shorts | {NICKNAMES[name].lower() for name in meant & set(NICKNAMES)}) - {word}


def misspelt(name: str, random: Random) -> str:
    """Return a name of one word as somebody spells it who only heard it, or as it is where it has no such spelling."""
    low = name.lower()
    if len(low) < _MIN_SPELT or not low.isalpha() or not low.isascii() or not name.istitle():
        return name
    found = [low[0] + re.sub(wrong, right, low[1:], count=1) for wrong, right in _SLIPS]
    different = [one.capitalize() for one in dict.fromkeys(found) if one != low]
    return random.choice(different) if different else name
