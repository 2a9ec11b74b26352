"""The one amount of money, date, time of day, phone number or named place of a text, and how else it may be said.

Careful rather than complete. Each type has two patterns: what may count as such a value at all, and what is plainly
one. A text has an only value when it holds one of the first, and that is plain: not half of a range, not a date in
figures, not a number without its area code. English only. Pure; knows nothing of mails and questions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

ValueType = Literal["amount", "date", "time", "phone", "place"]

_MONTHS = "January February March April May June July August September October November December".split()
_MONTH = rf"(?:{'|'.join(_MONTHS)}|Sept|{'|'.join(name[:3] for name in _MONTHS)})\b\.?"
_DAY = r"(?:[12]\d|3[01]|0?[1-9])(?:st|nd|rd|th)?"
_YEAR = r"(?:,?\s(?:19|20)\d\d)"
_HOUR = r"(?:1[0-2]|0?[1-9])(?:[:.][0-5]\d)?"
_HALF = r"[ap](?:\.\s?m\b\.?|\s?m\b)"
_GROUPED = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d{1,2})?"
_SCALE = r"\s?(?:million|billion|thousand|MM|mm|bn|[kKmMB])\b"
_ROOM = r"(?:[Cc]onference\s)?\b[Rr]oom\s#?((?:[A-Z]{1,3}-?)?\d{2,5}[A-Za-z]?\d?)"
_NAME = r"(?:[A-Z][\w'’&-]*\s){1,3}"
_NO_NAME = r"(?:A|An|And|At|Dear|For|From|Her|His|In|Its|Meeting|My|No|On|Or|Our|Please|The|This|That|To|Your|We)\s"
PLACES = {
    "hotel": "Hotel|Inn|Resort",
    "restaurant": "Restaurant|Cafe|Café|Grill|Bistro|Steakhouse|Pub|Cantina|Diner",
    "building": "Building|Bldg|Tower",
    "airport": "Airport",
    "church": "Church|Chapel|Cathedral|Synagogue",
    "stadium": "Stadium|Arena",
    "theatre": "Theater|Theatre",
    "street": "Street|Avenue|Boulevard|Road|Lane",
}
"""What a named place may be, and the last words of such names."""


@dataclass(frozen=True, slots=True)
class TypedValue:
    """A value as it stands in its text, other forms that say the same, and what a question may call it."""

    type: ValueType
    text: str
    accepted: tuple[str, ...]
    noun: str


@dataclass(frozen=True, slots=True)
class _Kind:
    """`any` finds all that may be such a value, `plain` is matched by a whole one that is certain."""

    type: ValueType
    noun: str
    any: re.Pattern[str]
    plain: re.Pattern[str]


_KINDS = (
    _Kind(
        "amount",
        "amount",
        re.compile(r"[$£€¢]|\b(?:dollars?|euros?|pounds?|cents?|bucks|USD|grand)\b", re.IGNORECASE),
        re.compile(
            rf"(?<![\w$.-])(?:US)?[$£€]\s?{_GROUPED}(?:{_SCALE})?(?![\w,./%-]*\w)|(?<![\w$.,-]){_GROUPED}\sdollars\b"
        ),
    ),
    _Kind(
        "date",
        "date",
        re.compile(
            rf"\b{_MONTH}|\d{{1,2}}(?:st|nd|rd|th)\b|\d{{1,4}}[/.-]\d{{1,2}}[/.-]\d{{1,4}}|(?<![\d/])\d{{1,2}}/\d{{1,2}}"
        ),
        re.compile(rf"\b{_MONTH}\s{_DAY}{_YEAR}?(?![\d:]|-)|(?<![\d/:-]){_DAY}\s(?:of\s)?{_MONTH}{_YEAR}?(?!\w)"),
    ),
    _Kind(
        "time",
        "time",
        re.compile(
            r"\d\s?[ap]\.?\s?m\b|\d:\d\d|o['’]?clock|\bnoon\b|\bmidnight\b|\bat \d{1,2}\b(?!/)|\d\s?(?:-|to)\s?\d",
            re.IGNORECASE,
        ),
        re.compile(rf"(?<![\w:.,/-]){_HOUR}\s?{_HALF}|\b(?:noon|midnight)\b", re.IGNORECASE),
    ),
    _Kind(
        "phone",
        "phone number",
        re.compile(
            r"\d{3}[-./ )]{1,2}\d{3}[-. ]\d{4}|\d-\d{4}\b|\d\.\d{4}\b|\+\d{2}|\b(?:ext|extension|x)\.?\s?\d{3,5}\b",
            re.IGNORECASE,
        ),
        re.compile(r"(?<![\w./(-])(?:\+?1[-. ])?(?:\(\d{3}\)\s?|\d{3}[-./ ]\s?)\d{3}[-. ]\d{4}(?!\s?-?\w)"),
    ),
    _Kind("place", "room", re.compile(r"\b(?:room|suite|rm)\b|\b[A-Z]{2}\s?\d{3,}", re.IGNORECASE), re.compile(_ROOM)),
    *(
        _Kind(
            "place",
            noun,
            re.compile(rf"\b(?:{names}|{noun})s?\b", re.IGNORECASE),
            re.compile(
                rf"\b\d{{1,5}}\s{_NAME}(?:{names})\b" if noun == "street" else rf"\b(?!{_NO_NAME}){_NAME}(?:{names})\b"
            ),
        )
        for noun, names in PLACES.items()
    ),
)
_CURRENCIES = {"$": "dollars", "£": "pounds", "€": "euros"}
_GOES_ON = re.compile(r"\s*(?:-|–|/|\bto\b|\bor\b|\band\b|&|\bthru\b|\bthrough\b|\buntil\b)\s*[$£€]?\d")
_ENDS_ON = re.compile(r"\d\s*(?:-|–|/|\bto\b|\bor\b|\band\b|&|\bthru\b|\bthrough\b)\s*$")
_NEGATIVE = re.compile(r"[-(]\s?$")
_NO_PHONE = re.compile(r"\b(?:fax|facsimile|pager|page)\b", re.IGNORECASE)


def only_values(own: str, whole: str) -> list[TypedValue]:
    """Return the values in `own` that are the only ones of their kind, both there and in `whole`, which holds it."""
    found = (_only_value(kind, own, whole) for kind in _KINDS)
    return [value for value in found if value is not None]


def may_hold(noun: str, text: str) -> bool:
    """Return whether `text` may hold a value that is called `noun`; True when in doubt."""
    is_number = noun in ("amount", "phone number", "time", "date", "room")
    kinds = (kind for kind in _KINDS if kind.noun == noun)
    return (is_number and re.search(r"\d", text) is not None) or any(kind.any.search(text) for kind in kinds)


def _only_value(kind: _Kind, own: str, whole: str) -> TypedValue | None:
    found = {" ".join(match[0].split()): match for match in kind.plain.finditer(own)}
    if len(found) != 1 or len({" ".join(match[0].split()) for match in kind.plain.finditer(whole)}) != 1:
        return None
    ((text, match),) = found.items()
    rest = re.sub(re.escape(match[0]), " ", whole)
    if kind.any.search(rest) or _is_part(match) or (kind.type == "phone" and _NO_PHONE.search(whole)):
        return None
    text = text.rstrip(".") if kind.type != "time" else text
    return TypedValue(kind.type, text, _forms(kind.type, text, match), kind.noun)


def _is_part(match: re.Match[str]) -> bool:
    """Whether the value is half of a range or choice ("3 to 5 pm"), or is below zero."""
    before, after = match.string[: match.start()][-12:], match.string[match.end() :][:12]
    return bool(_GOES_ON.match(after) or _ENDS_ON.search(before) or _NEGATIVE.search(before))


def _forms(value_type: ValueType, text: str, match: re.Match[str]) -> tuple[str, ...]:
    if value_type == "phone":
        digits = re.sub(r"\D", "", text)[-10:]
        forms = [f"{digits[:3]}-{digits[3:6]}-{digits[6:]}", f"({digits[:3]}) {digits[3:6]}-{digits[6:]}", digits]
    elif value_type == "amount":
        forms = [f"{text.strip('US$£€ ')} {_CURRENCIES[text.strip('US')[0]]}"] if not text[0].isdigit() else []
        forms += [f"${text.removesuffix(' dollars')}"] if text.endswith(" dollars") else []
    elif value_type == "date":
        forms = [re.sub(r"(?<=\d)(?:st|nd|rd|th)", "", text)]
    elif value_type == "time":
        forms = [re.sub(r"\.?\s?m\b\.?", "m", text.lower().replace(" ", "").replace(".m", "m"))]
    else:
        forms = [f"room {match[1]}", match[1]] if match.re.groups else [text.removeprefix("The ")]
    return tuple(form for form in dict.fromkeys(forms) if form != text)
