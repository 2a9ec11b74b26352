"""Typed values in a short text: money, numbers, dates, times, phones, addresses, codes; and the words left.

One pass of one regular expression over the folded text. Knows nothing of questions or of right and wrong.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Set
from datetime import date
from typing import Literal, NamedTuple

from inbox_env.search.folding import stream_safe
from rewards.amounts import joined
from rewards.grammar import AMOUNT, PREFIX, SMALL, SUFFIX, TENS, VALUE_LEXER
from rewards.spelling import in_digits

Kind = Literal[
    "money", "number", "percent", "date", "ordinal", "time", "phone", "email", "code",
    "weekday", "daypart", "zone", "rate", "polarity",
]  # fmt: skip
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MAX_NUMBER_DIGITS = 12  # longer runs of digits are identifiers
DAY_MINUTES = 24 * 60
NO_DAY = -1  # a year or day of zeros: said, and like no other
NO_TIME = 10_000  # added to what only looks like a time of day ("34:20"): it equals no gold time


class Value(NamedTuple):
    """One typed value. What `key` and `unit` hold by kind:

    money (amount, ) and currency; number (amount, ) and its noun; percent (amount, ); date (year, month, day, swapped)
    where 0 is unknown and swapped is 1 when day and month could be read the other way; ordinal (day, );
    time (second or -1, every minute of the day it can mean...); phone its digits, extension in `key`; zone its region,
    1 for winter or 2 for summer time in `key`; email, code, weekday, daypart, rate, polarity: a folded text in `unit`.
    """

    kind: Kind
    key: tuple[float, ...] = ()
    unit: str = ""


class Parsed(NamedTuple):
    """A text taken apart: its values in order, its words in order, and both in order with values written "#n"."""

    values: tuple[Value, ...]
    words: tuple[str, ...]
    tokens: tuple[str, ...]


_DASHES = str.maketrans("‐‑‒–—−’‘`“”", "------'''\"\"")
_THOUSANDS = re.compile(r"(?<=\d)[\u00a0\u202f\u2009'](?=\d{3}(?!\d))")
_AMOUNT_PARTS = re.compile(rf"(?P<amount>{AMOUNT})\s?(?P<scale>[a-z]*)")
_SCALES = {
    "hundred": 1e2, "k": 1e3, "thousand": 1e3, "grand": 1e3, "m": 1e6, "mm": 1e6, "mil": 1e6, "mln": 1e6,
    "million": 1e6, "b": 1e9, "bn": 1e9, "billion": 1e9, "tn": 1e12, "trillion": 1e12,
}  # fmt: skip
_SPELT_VALUES = {word: number for number, word in enumerate(SMALL.split("|"))} | {
    word: 10 * number for number, word in enumerate(TENS.split("|"), 2)
}
_CURRENCIES = {
    "us$": "usd", "us $": "usd", "$": "usd", "dollar": "usd", "buck": "usd", "cent": "usd", "c$": "cad", "ca$": "cad",
    "a$": "aud", "au$": "aud", "£": "gbp", "pound": "gbp", "quid": "gbp", "€": "eur", "euro": "eur", "¥": "jpy",
    "yen": "jpy", "₹": "inr", "rupee": "inr",
}  # fmt: skip
_CURRENCY = re.compile(rf"{PREFIX}|{SUFFIX}")
_NOUNS = {
    "hr": "hour", "h": "hour", "min": "minute", "sec": "second", "yr": "year", "people": "person", "pc": "piece",
    "megawatt": "mw", "kilowatt": "kw",
    "kilogram": "kg", "kilo": "kg", "kilometer": "km", "kilometre": "km", "mi": "mile", "foot": "ft", "feet": "ft",
    "centimeter": "cm", "centimetre": "cm", "gigabyte": "gb", "megabyte": "mb", "terabyte": "tb",
}  # fmt: skip
_ZONES = {"utc": "gmt", "london time": "gmt", "houston time": "c", "new york time": "e"} | {
    name: region
    for region, names in {"e": "est edt et eastern", "c": "cst cdt ct central", "p": "pst pdt pt pacific",
                          "m": "mst mdt mt mountain"}.items()
    for name in names.split()
}  # fmt: skip
_SEASONS = {"s": 1.0, "d": 2.0}  # the middle letter of EST and EDT
_FRACTIONS = {"¼": ".25", "½": ".5", "¾": ".75"}
_FRACTION = re.compile(r"(?:(\d)[ -]?)?([¼½¾])")
_POLARITIES = {"yes": "yes", "yeah": "yes", "yep": "yes", "yup": "yes", "no": "no", "nope": "no", "nah": "no"}
_NO_NOUNS = """a an and as at but by each for from if in into is no not of off on one only or over per than that the
then to until was were with x"""
_NEVER_NOUNS = frozenset(_NO_NOUNS.split())


def parse(text: str) -> Parsed:
    """Return the values and words of `text`; every word is folded, possessive endings are cut."""
    values: list[Value] = []
    words: list[str] = []
    tokens: list[str] = []
    end = -9  # where a number that may still get its noun ended
    for match in VALUE_LEXER.finditer(normal(text)):
        kind = match.lastgroup or "word"
        if kind == "word" or (kind == "rate" and not (values and tokens[-1].startswith("#"))):
            word = match.group().lstrip("/ ").removeprefix("per ").removesuffix("'s").replace("'", "")
            if match.start() - end <= 1 and word not in _NEVER_NOUNS:
                values[-1] = values[-1]._replace(unit=singular(word))
            words.append(word)
            tokens.append(word)
            end = -9
            continue
        found = _READERS[kind](match)
        tokens += [f"#{len(values) + offset}" for offset in range(len(found))]
        values += found
        end = match.end() if found and found[-1].kind == "number" and not found[-1].unit else -9
    if words and tokens and tokens[0] == words[0] and (polarity := _POLARITIES.get(words[0])):
        values.insert(0, Value("polarity", unit=polarity))
    return Parsed(tuple(values), tuple(words), tuple(tokens))


def normal(text: str) -> str:
    """Return `text` folded, with what is spelt out or said in two parts as one number in digits."""
    return in_digits(joined(fold(text)))


def without_kinds(text: str, kinds: Set[str]) -> str:
    """Return `text` in its normal form without the values of these kinds."""

    def kept(match: re.Match[str]) -> str:
        reader = _READERS.get(match.lastgroup or "")
        return " " if reader and any(value.kind in kinds for value in reader(match)) else match.group()

    return VALUE_LEXER.sub(kept, normal(text))


def fold(text: str) -> str:
    """Return `text` without case, accents, fancy dashes and quotes, or separators inside numbers."""
    if not text.isascii() or "'" in text:
        text = _FRACTION.sub(lambda match: (match[1] or "0") + _FRACTIONS[match[2]], text)
        text = _THOUSANDS.sub("", text).translate(_DASHES)
        if not text.isascii():
            decomposed = unicodedata.normalize("NFKD", stream_safe(text))
            text = "".join(char for char in decomposed if not unicodedata.combining(char))
    return text.casefold()


def singular(word: str) -> str:
    """Return `word` without a plural s, and with common short forms of units spelt one way."""
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if len(word) > 2 and word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    return _NOUNS.get(word, word)


def _amount(text: str) -> float:
    """The number in `text`, its scale word applied: "4.82k" is 4820, "twenty-five" is 25."""
    match = _AMOUNT_PARTS.search(text)
    if match is None:
        return 0.0
    digits, scale = match["amount"], _SCALES.get(match["scale"], 1.0)
    if digits[0].isalpha():
        amount = float(sum(_SPELT_VALUES[word] for word in re.split(r"[-\s]", digits)))
    elif re.fullmatch(r"\d{1,3}(?:\.\d{3})+,\d{1,2}", digits):
        amount = float(digits.replace(".", "").replace(",", "."))
    else:
        amount = float(digits.replace(",", ""))
    return round(-amount * scale if "-" in text[: match.start()] else amount * scale, 6)


def _money(match: re.Match[str]) -> list[Value]:
    text = match.group()
    found = _CURRENCY.search(text)
    sign = found.group() if found else ""
    name = _CURRENCIES.get(singular(sign), sign)
    amount = _amount(text) / (100 if sign.startswith("cent") else 1)
    return [Value("money", (amount,), name)]


def _number(match: re.Match[str]) -> list[Value]:
    text = match["number"]
    digits = text.lstrip("-")
    if digits.isdigit() and (len(digits) > MAX_NUMBER_DIGITS or (digits[0] == "0" and len(digits) > 1)):
        return [Value("code", unit=digits)]
    return [Value("number", (_amount(text),), singular(match["attached"] or ""))]


def _percent(match: re.Match[str]) -> list[Value]:
    return [Value("percent", (_amount(match["percent"]),))]


def _code(match: re.Match[str]) -> list[Value]:
    return [Value("code", unit=re.sub(r"[-_/]", "", match.group()))]


def _phone(match: re.Match[str]) -> list[Value]:
    digits = re.sub(r"\D", "", match["phone"])
    is_international = match["phone"][0] == "+" or digits.startswith("00")
    extension = (float(match["extension"]),) if match["extension"] else ()
    return [Value("phone", extension, f"+{digits.lstrip('0')}" if is_international else digits)]


def _email(match: re.Match[str]) -> list[Value]:
    return [Value("email", unit=match.group().strip(".-+"))]


def _dates(year: int, month: int, days: list[int]) -> list[Value]:
    return [
        Value("date", (year, month, day or NO_DAY, 0)) for day in days
    ]  # an impossible day stays: it equals no gold date


def _is_day(year: int, month: int, day: int) -> bool:
    try:
        date(year if year > 0 else 2000, month, day)
    except ValueError:
        return False
    return True


def _full_year(text: str) -> int:
    year = int(text)
    if len(text) == 4:
        return year or NO_DAY
    return year + (1900 if year >= 70 else 2000)


def _iso_date(match: re.Match[str]) -> list[Value]:
    year, month, day = map(int, re.split(r"[-/.]", match["iso"]))
    return _dates(year, month, [day])


def _numeric_date(match: re.Match[str]) -> list[Value]:
    """Month first with slashes, day first with dots; `swapped` is 1 where the other reading is a date too."""
    text = match.group()
    parts = re.split(r"[/.-]", text)
    year = _full_year(parts[2]) if len(parts) == 3 else 0
    month, day = int(parts[0]), int(parts[1])
    if "/" not in text:
        month, day = day, month
    if not _is_day(year, month, day):
        month, day = day, month
    if not _is_day(year, month, day):
        return [Value("number", (float(part),)) for part in parts]
    return [Value("date", (year, month, day, int(month != day and _is_day(year, day, month))))]


def _named_date(match: re.Match[str]) -> list[Value]:
    text = match.group()
    month = next(number for number, name in enumerate(MONTHS, 1) if re.search(rf"\b{name}", text))
    year = re.search(r"(?<!\d)\d{4}(?!\d)|'\d\d$", text)
    rest = text[: year.start()] + text[year.end() :] if year else text
    days = [int(day) for day in re.findall(r"\d{1,2}", rest)]
    if not days:
        return [Value("date", (_full_year(year.group().lstrip("'")) if year else 0, month, 0, 0))]
    return _dates(_full_year(year.group().lstrip("'")) if year else 0, month, days)


def _ordinal(match: re.Match[str]) -> list[Value]:
    return [Value("ordinal", (int(match.group()[:-2]) or NO_DAY,))]


def _clock(hour: int, minute: int, second: int, half: str, is_24h: bool = False) -> Value:
    """A time of day: without am or pm an hour of 1 to 12 stands for two minutes of the day."""
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    minutes = (hour * 60 + minute) % DAY_MINUTES
    if half or is_24h or not 1 <= hour <= 12:
        return Value("time", (second, minutes))
    return Value("time", (second, *sorted((minutes % (DAY_MINUTES // 2), minutes % (DAY_MINUTES // 2) + 720))))


def _time(match: re.Match[str]) -> list[Value]:
    text = match["time"]
    zone = match["zone"]
    extra = [_zone(zone)] if zone else []
    if text in ("noon", "midday", "midnight"):
        return [_clock(0 if text == "midnight" else 12, 0, -1, "", is_24h=True), *extra]
    half = re.search(r"([ap])\.?\ ?m\b", text)
    numbers = [int(number) for number in re.findall(r"\d+", text)] or [int(_amount(text))]
    hour, minute, second = [*numbers, 0, -1][:3] if len(numbers) == 1 else [*numbers, -1][:3]
    if hour > 24 or minute > 59:
        return [Value("time", (second, NO_TIME + 100 * hour + minute)), *extra]
    is_24h = text[0] == "0" and half is None
    return [_clock(hour, minute, second, half[1] if half and hour <= 12 else "", is_24h), *extra]


def _zone(name: str) -> Value:
    is_exact = len(name) == 3 and name not in ("gmt", "utc", "bst", "cet")
    return Value("zone", (_SEASONS[name[1]],) if is_exact else (), _ZONES.get(name, name))


def _span_start(match: re.Match[str]) -> list[Value]:
    """The start of "9:00-10:30 a.m.": in the same half of the day as the end unless that would run backwards."""
    numbers = [int(number) for number in re.findall(r"\d+", match["span"])]
    hour, minute = [*numbers, 0][:2]
    half, end_hour = match["spanhalf"], int(match["spanhour"])
    if hour > 24 or minute > 59:
        return [Value("time", (-1, NO_TIME + 100 * hour + minute))]
    if hour % 12 > end_hour % 12:
        half = "a" if half == "p" else "p"
    return [_clock(hour, minute, -1, half if hour <= 12 else "")]


def _weekday(match: re.Match[str]) -> list[Value]:
    return [Value("weekday", unit=match.group()[:3])]


def _daypart(match: re.Match[str]) -> list[Value]:
    return [Value("daypart", unit=match.group())]


def _rate(match: re.Match[str]) -> list[Value]:
    return [Value("rate", unit=singular(re.split(r"[/\s]+", match.group())[-1]))]


_READERS: dict[str, Callable[[re.Match[str]], list[Value]]] = {
    "email": _email, "iso": _iso_date, "phone": _phone, "extension": _phone, "numeric": _numeric_date,
    "monthfirst": _named_date, "dayfirst": _named_date, "monthyear": _named_date, "span": _span_start, "time": _time,
    "zone": _time, "spanhalf": _span_start, "percent": _percent, "money": _money, "ordinal": _ordinal,
    "number": _number, "attached": _number, "code": _code, "weekday": _weekday, "daypart": _daypart, "rate": _rate,
}  # fmt: skip
