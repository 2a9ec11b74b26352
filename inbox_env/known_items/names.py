"""What people are called: by their whole, first or last name, or by a short form that the mail has not. Pure."""

from __future__ import annotations

from collections.abc import Container
from random import Random
from types import MappingProxyType

NICKNAME_RATE = 0.5  # of the first names that have one
_SHORT = """alexander alex,andrew andy,anthony tony,barbara barb,benjamin ben,charles charlie,christina tina,
christine chris,christopher chris,cynthia cindy,daniel dan,deborah debbie,donald don,douglas doug,edward ed,
elizabeth liz,frederick fred,gerald jerry,gregory greg,james jim,jeffrey jeff,jennifer jen,jessica jess,joseph joe,
joshua josh,katherine kate,kathleen kathy,kenneth ken,lawrence larry,leonard len,margaret maggie,matthew matt,
michael mike,michelle shelly,nicholas nick,pamela pam,patricia pat,peter pete,philip phil,phillip phil,raymond ray,
rebecca becky,richard rick,robert bob,ronald ron,samuel sam,stephen steve,steven steve,susan sue,terrence terry,
theodore ted,thomas tom,timothy tim,victoria vicky,vincent vince,walter walt,william bill"""
NICKNAMES = MappingProxyType({pair.split()[0]: pair.split()[1].capitalize() for pair in _SHORT.split(",")})


def draw_name(person: str, random: Random) -> str:
    """Return the whole name, the first or the last."""
    first, *_, last = person.split()
    return random.choices((person, first, last), weights=(60, 25, 15))[0]


def nickname(who: str, held: Container[str], random: Random) -> str:
    """Return `who` by the short form of the first name, where there is one that is not in `held`, or as it is."""
    first, *rest = who.split()
    short = NICKNAMES.get(first.lower(), "")
    if not short or short.lower() in held or random.random() >= NICKNAME_RATE:
        return who
    return " ".join((short, *rest))


def long_forms(word: str) -> set[str]:
    """Return the first names that a short form in lower case may stand for."""
    return {name for name, short in NICKNAMES.items() if short.lower() == word}
