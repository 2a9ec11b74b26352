"""Numbers and times of day that are written in words, rewritten in digits: "one hundred and twenty", "half past three".

Works on folded text; words that make no one number stay as they are. Knows nothing of typed values or questions.
"""

from __future__ import annotations

import re

from rewards.grammar import ONES, SMALL, TENS

_UNITS = {word: number for number, word in enumerate(SMALL.split("|"))}
_TENS = {word: 10 * number for number, word in enumerate(TENS.split("|"), 2)}
_SCALES = {"thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000, "trillion": 1_000_000_000_000}
_FACTORS = {"hundred": 100, "dozen": 12}
_ANY = "|".join((*_UNITS, *_TENS, *_SCALES, *_FACTORS))
_BIG = "|".join((*_SCALES, *_FACTORS))
_NUMBER_WORDS = re.compile(rf"\b(?:an?\s(?=(?:{_BIG})\b))?(?:{_ANY})(?:(?:-|\s|,\s|\sand\s)(?:{_ANY}))*\b")
_HOUR = rf"(?P<hour>(?:{ONES}|ten|eleven|twelve|\d{{1,2}}))(?![\w:])"
_PAST_HOUR = re.compile(
    rf"\b(?:(?P<half>half)\s(?P<halfside>past)|(?:an?\s)?(?P<quarter>quarter)\s(?P<quarterside>past|after|to|before)"
    rf"|(?P<late>twenty(?:[- ]five)?)\s(?P<lateside>to)"  # "ten to six" may be from ten to six
    rf"|(?P<count>{SMALL}|(?:{TENS})(?:[- ](?:{ONES}))?|\d{{1,2}})\s"
    r"(?:minutes?\s(?P<side>past|after|to|before)|(?P<pastside>past)))"
    rf"\s{_HOUR}"
)
_SEVERAL = re.compile(
    rf"\b(?!{_BIG})[a-z]+\sand\s|\b(?!{'|'.join(_SCALES)})[a-z]+,"
)  # "twenty and thirty", "two, three"
_POINT = re.compile(rf"\b(?P<whole>{SMALL}|{TENS}|\d+)\spoint\s(?P<digits>(?:{SMALL})(?:\s(?:{ONES}|zero))*)\b")
_FRACTION = re.compile(r"(?<![\w./])(?P<whole>\d{1,4})[ -](?P<top>\d)[/⁄](?P<bottom>[248])(?![\w/])")
_DAYPART = re.compile(
    rf"\b(?P<clock>\d{{1,2}}(?:[:.][0-5]\d)?|{ONES}|ten|eleven|twelve)(?:\so'clock)?\s(?:in\sthe\s|this\s)"
    r"(?P<part>morning|afternoon|evening)\b"
)
_IS_SPELT = re.compile(rf"\b(?:{_ANY})\b|past|quarter|[/⁄]|\bthe\s(?:morning|afternoon|evening)|point")


def in_digits(text: str) -> str:
    """Return folded `text` with numbers and times of day in digits."""
    if not _IS_SPELT.search(text):
        return text
    text = _PAST_HOUR.sub(_clock, text)
    text = _FRACTION.sub(lambda m: f"{int(m['whole']) + int(m['top']) / int(m['bottom']):g}", text)
    text = _POINT.sub(_decimal, text)
    text = _NUMBER_WORDS.sub(_digits, text)
    return _DAYPART.sub(lambda m: f"{_count(m['clock'])} {'am' if m['part'] == 'morning' else 'pm'}", text)


def number_of(words: list[str]) -> int | None:
    """Return the one number that `words` spell, or None when they spell none or several.

    Parts must get smaller from left to right: "one hundred twenty" is one number, "twenty one hundred" is not.
    """
    total, part, last, scale_before = 0, 0, 1_000, 10**15
    for word in words:
        if word in _UNITS or word in _TENS:
            number = _UNITS.get(word, _TENS.get(word, 0))
            if number >= last or (number == 0 and last < 1_000):
                return None
            part, last = part + number, 10 if word in _TENS else 1
        elif word in _FACTORS:
            if not 0 < part < 100 or last > 10:
                return None
            part, last = part * _FACTORS[word], 100
        else:
            if not part or _SCALES[word] >= scale_before:
                return None
            total, part, last, scale_before = total + part * _SCALES[word], 0, 1_000, _SCALES[word]
    return total + part


def _digits(match: re.Match[str]) -> str:
    text = match.group()
    words = ["one" if word in ("a", "an") else word for word in re.findall(r"[a-z]+", text)]
    if len(words) < 2 or (len(words) == 2 and words[1] in _SCALES):  # the grammar of values reads these
        return text
    if _SEVERAL.search(text):
        return text
    words = [word for word in words if word != "and"]
    number = number_of(words)
    return text if number is None else str(number)


def _decimal(match: re.Match[str]) -> str:
    digits = "".join(str(_UNITS[word]) for word in match["digits"].split())
    return f"{_count(match['whole'])}.{digits}"


def _clock(match: re.Match[str]) -> str:
    side = next(match[name] for name in ("halfside", "quarterside", "lateside", "side", "pastside") if match[name])
    minutes = 30 if match["half"] else 15 if match["quarter"] else number_or_digits(match["late"] or match["count"])
    hour = number_or_digits(match["hour"])
    if not 1 <= hour <= 12 or not 0 < minutes < 60:
        return match.group()
    if side in ("to", "before"):
        hour, minutes = (hour - 2) % 12 + 1, 60 - minutes
    return f"{hour}:{minutes:02d}"


def number_or_digits(text: str) -> int:
    """Return the number that `text` is, in digits or in words; 0 when it is none."""
    return int(text) if text.isdigit() else number_of(re.findall(r"[a-z]+", text)) or 0


def _count(text: str) -> str:
    return text if text[0].isdigit() else str(number_or_digits(text))
