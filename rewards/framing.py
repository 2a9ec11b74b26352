"""An answer without what says where it was read: "According to his mail of 3 May, it was X" is "it was X".

Only whole attributions go, of a small grammar without a word of doubt in them, so that a day named in one is no answer
and no objection to one. Knows nothing of questions or of values.
"""

from __future__ import annotations

import re

from rewards.wording import BOUNDS, DOUBTS, TURNS, says_something

_W = r"[\w.'-]{1,30}+"  # a word, a name
_D = r"[\w.'/-]{1,30}+"  # a word, or a date in digits
_DETERMINER = r"(?:the|this|that|his|her|their|its|my|your|our|an?|one|[\w.-]{1,30}'s?)"
_NOUN = (
    r"(?:e-?mails?|mails?|messages?|notes?|memos?|letters?|threads?|reply|replies|responses?|invites?|invitations?"
    r"|agendas?|announcements?|attachments?|signatures?|inbox|mailbox|correspondence|sources?|tickets?|brochures?)"
)
_SAYS = (
    r"(?:says?|said|states?|stated|writes?|wrote|mentions?|mentioned|notes|noted|confirms?|confirmed|indicates?"
    r"|indicated|shows?|showed|reads?|told (?:me|us)|tells (?:me|us)|reports?|reported|specifies|specified|lists?"
    r"|gives?|gave|names?|named|asks? for|asked for|puts? it)"
)
_WHO = rf"(?:he|she|it|they|i|we|{_DETERMINER} (?:{_W} ){{0,2}}?{_NOUN}|{_W}(?: {_W}){{0,2}})"
_ABOUT = r"(?:\s(?:from|of|by|dated|to|on|sent|about|in|at)\s[^:;()\n]{1,40}?){0,2}"
_SOURCE = rf"{_DETERMINER}?\s?(?:{_W} ){{0,3}}?{_NOUN}{_ABOUT}"
_MONTH = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
_INSIDE = (  # an attribution up to its comma or colon, which are not those of "Monday, May 3, 2001" and "5:30"
    rf"(?>[^,:;()\n]|:(?=\d)|(?<=day),(?=\s{_MONTH})|(?<=\d),(?=\s\d{{4}}\b))"
)
_LINK = r"\s*(?:that\b|[:,])*\s*"
_FLAGS = re.IGNORECASE
_ANSWER = r"(?:(?:my|the|final|short|so)\s)*(?P<frame>answer)(?:\s(?:is|was|would be))?\s*[:,]?\s(?:that\s)?"
_OPENINGS = tuple(
    re.compile(pattern, _FLAGS)
    for pattern in (
        _ANSWER,
        r"(?P<frame>(?:it|that|this)(?:'s|\s(?:is|was|will be|would be)))\s(?!not\b|never\b)(?:that\s)?",
        rf"(?:according to|as per|per)\s(?P<frame>{_INSIDE}{{1,90}})[,:](?!\d)\s*",
        rf"(?:based on|going by|judging by|from|in|as (?:stated|said|written|mentioned) in)\s"
        rf"(?P<frame>{_INSIDE}{{0,60}}\b{_NOUN}\b{_INSIDE}{{0,60}}?)(?:[,:](?!\d)|\s(?=(?:he|she|they|it)\b))\s*",
        rf"(?P<frame>(?:i|we)\s(?:found|saw|see|read)(?:\s(?:it|this|that))?\s(?:in|from)\s{_SOURCE})\s*[,:](?!\d)\s*",
        rf"(?P<frame>{_DETERMINER} (?:{_W} ){{0,2}}?{_NOUN}{_ABOUT}\s(?:clearly |also )?{_SAYS})\b{_LINK}",
        rf"(?P<frame>(?:he|she|it|they|i|we)\s(?:clearly |also |has |had )?{_SAYS}\b(?:\sin\s{_SOURCE})?){_LINK}",
        rf"(?P<frame>{_W}(?: {_W}){{0,2}}\s{_SAYS}(?:\sin\s{_SOURCE})?)\s*(?:that\b|:)\s*",
    )
)
_TIME = rf"(?:\s(?:on|of|in|at|dated)\s{_D}(?:,?\s{_D}){{0,4}})?"
_CLOSINGS = tuple(
    re.compile(rf"{pattern}[\s.)\]]*$", _FLAGS)
    for pattern in (
        rf"[\s,;(\[-]{{1,4}}+according to\s(?P<frame>{_D}(?:,?\s{_D}){{0,9}})",
        rf"[\s,;(\[-]+as\s(?P<frame>{_WHO}\s{_SAYS}(?:\s(?:it|so|that))?(?:\sin\s{_SOURCE})?{_TIME})",
        r"[\s,;(\[-]+(?P<frame>as (?:i|we) (?:read|understand) it)",
        rf"[\s,;(\[-]+(?:as (?:stated|said|written|mentioned|noted|confirmed) in|as per|per|based on|in|from|via)\s"
        rf"(?P<frame>{_DETERMINER} (?:{_W} ){{0,2}}?{_NOUN}{_TIME}(?:\s(?:from|by|to)\s{_W}(?: {_W}){{0,2}})?{_TIME})",
        rf"[\s,;(\[-]+(?P<frame>(?:that|this|which)(?:'s| is) what\s{_WHO}(?:\s(?:from|of|by)\s{_W}(?: {_W}){{0,2}})?"
        rf"\s{_SAYS}{_TIME})",
        rf"\s*[,;-]+\s*(?P<frame>{_WHO}\s{_SAYS}{_TIME})",
        rf"\s*[,;-]+\s*(?P<frame>(?:says?|said|writes|wrote)\s{_WHO}{_TIME})",
        rf"\s*[(\[](?P<frame>(?:see\s|source:?\s)?{_NOUN}[\s#:]*\d+)",
    )
)
_SPOILERS = (DOUBTS | BOUNDS | TURNS | {"and", "later", "then", "who", "which", "when"}) - {"before", "after"}
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
_MARKS = " \"'`*_"
MAX_FRAMES = 4
MAX_CLOSING_CHARS = 140


def unframed(text: str) -> str:
    """Return `text` without attributions before and behind it; all of it when nothing else would be left."""
    for _ in range(MAX_FRAMES):
        shorter = _without_opening(_without_closing(text).strip(_MARKS))
        if shorter == text:
            break
        text = shorter
    return text


def _without_opening(text: str) -> str:
    for pattern in _OPENINGS:
        found = pattern.match(text)
        if found and _is_frame(found["frame"]) and says_something(rest := text[found.end() :]):
            return rest
    return text


def _without_closing(text: str) -> str:
    start = max(0, len(text) - MAX_CLOSING_CHARS)
    for pattern in _CLOSINGS:
        found = pattern.search(text, start)
        if found and _is_frame(found["frame"]) and says_something(rest := text[: found.start()]):
            return rest
    return text


def _is_frame(text: str) -> bool:
    """Whether no word in an attribution takes back or turns what it frames."""
    return _SPOILERS.isdisjoint(word.replace("'", "") for word in _WORD.findall(text.casefold()))
