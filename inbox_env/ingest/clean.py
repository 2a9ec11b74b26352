"""Folds what a reply repeats: quoted mails become one line, so that a body shows what its sender wrote.

Pure text to text. Knows nothing of headers: a forward is recognised by its words alone.
"""

from __future__ import annotations

import re

FOLDED = "[quoted text folded]"
_MAX_HEADING_LINES = 6  # how far below "name on date" its To: or Subject: may lie
_MAX_HEADING_CHARS = 400

_QUOTED = re.compile(r"[ \t]{0,3}>")
_ORIGINAL = re.compile(r"[ \t]*-{2,} ?Original (?:Message|Appointment)s? ?-{2,}[ \t]*$", re.IGNORECASE)
_FORWARD = re.compile(
    r"[ \t]*(?:-{3,}[ \t]*Forwarded (?:by|message|mail)|Begin forwarded message:|-{3,} Forwarded with Changes)",
    re.IGNORECASE,
)
_WROTE_END = re.compile(r"(?:wrote|writes|schrieb|a écrit|escribió|ha scritto)\s?:[ \t]*$", re.IGNORECASE)
_WROTE_START = re.compile(r"[ \t]*(?:On|Am|Le|El|Il|At)\b.{3,}|.{3,80}$", re.IGNORECASE)
_CLOCK = r"\d{1,2}/\d{1,2}/(?:\d{4}|\d\d)\s+\d{1,2}:\d\d(?::\d\d)?(?:\s?[AP]M)?"
_NOTES_HEADING = re.compile(rf"[ \t]*(?:\S.{{0,120}}\bon\s+{_CLOCK}|(?:From:\s+)?\S.{{0,120}}\s{_CLOCK}|{_CLOCK})\s*$")
_FIELD = re.compile(r"[ \t]*(?:To|cc|Subject|Sent):", re.IGNORECASE)
_FROM_FIELD = re.compile(r"[ \t]*From:[ \t]+\S", re.IGNORECASE)
_SIGNATURE = re.compile(r"-- ?$")


def fold_quotes(text: str) -> str:
    """Return the text with every quoted mail replaced by `FOLDED`; see `split_quotes`."""
    return split_quotes(text)[0]


def split_quotes(text: str) -> tuple[str, str]:
    """Return the text with every quoted mail replaced by `FOLDED`, and what was folded ("" when nothing was).

    Folded to the end: "-----Original Message-----", Lotus Notes headings ("name on date" above To: and Subject:).
    Folded as a block: lines that begin with ">", with the "On ... wrote:" above them. Kept: what a forward carries,
    and a text that begins with its quotation.
    """
    lines = text.split("\n")
    kept: list[str] = []
    folded: list[str] = []
    position = 0
    while position < len(lines):
        length = len(lines) if _FORWARD.match(lines[position]) else _quotation(lines, position)
        taken = lines[position : position + max(1, length)]
        if _FORWARD.match(lines[position]) or not length or not any(line.strip() for line in kept):
            kept += taken
        else:
            _append_fold(kept)
            folded += taken
        position += len(taken)
    return "\n".join(kept).rstrip(), "\n".join(folded).strip("\n")


def strip_signature(text: str) -> str:
    """Return the text without what follows a signature mark ("-- " alone on a line, in the last 15 lines)."""
    lines = text.split("\n")
    for position in range(len(lines) - 1, max(0, len(lines) - 15), -1):
        if _SIGNATURE.match(lines[position]):
            return "\n".join(lines[:position]).rstrip()
    return text


def _append_fold(kept: list[str]) -> None:
    while kept and not kept[-1].strip():
        kept.pop()
    if kept[-1] != FOLDED:
        kept += ["", FOLDED]


def _quotation(lines: list[str], position: int) -> int:
    """How many lines from here on are a quotation; 0 when this line starts none."""
    line = lines[position]
    if not line.strip():
        return 0
    if _QUOTED.match(line):
        return _quoted_block(lines, position)
    if len(line) > _MAX_HEADING_CHARS:
        return 0
    if _ORIGINAL.match(line) or _is_notes_heading(lines, position) or _is_outlook_heading(lines, position):
        return len(lines) - position
    return _attributed(lines, position)


def _quoted_block(lines: list[str], position: int) -> int:
    end = position
    for number in range(position, len(lines)):
        if _QUOTED.match(lines[number]):
            end = number + 1
        elif lines[number].strip():
            break
    return end - position


def _attributed(lines: list[str], position: int) -> int:
    """Length of "On ... wrote:" (one or two lines) with the quoted block below, or with all when nothing is marked."""
    if not _WROTE_START.match(lines[position]):
        return 0
    for height in (1, 2):
        last = lines[position + height - 1] if position + height <= len(lines) else ""
        if len(last) <= _MAX_HEADING_CHARS and _WROTE_END.search(last):
            below = position + height
            while below < len(lines) and not lines[below].strip():
                below += 1
            if below < len(lines) and _QUOTED.match(lines[below]):
                return below - position + _quoted_block(lines, below)
            starts_with_on = re.match(r"[ \t]*On\b.*\d", lines[position])
            return len(lines) - position if starts_with_on and below < len(lines) else 0
        if not re.match(r"[ \t]*(?:On|Am|Le|El|Il)\b", lines[position]):
            return 0
    return 0


def _is_notes_heading(lines: list[str], position: int) -> bool:
    if not _NOTES_HEADING.match(lines[position]):
        return False
    below = [line for line in lines[position + 1 : position + 1 + _MAX_HEADING_LINES] if line.strip()]
    return any(_FIELD.match(line) for line in below[:3])


def _is_outlook_heading(lines: list[str], position: int) -> bool:
    if not _FROM_FIELD.match(lines[position]):
        return False
    fields = [line for line in lines[position + 1 : position + 1 + _MAX_HEADING_LINES] if _FIELD.match(line)]
    return len(fields) >= 2
