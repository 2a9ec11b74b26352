"""Folds what a reply repeats: quoted mails become one line, so that a body shows what its sender wrote.

Also parts a text from its signature and from the mails that it forwards. Pure text to text; `quotes` knows the words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from inbox_env.ingest.quotes import is_forward, quotation_length

FOLDED = "[quoted text folded]"
SIGNATURE_FOLDED = "[signature folded]"
MAX_FORWARDS = 50
MAX_LINES = 20_000  # no person writes more above what is quoted
_MAX_SIGNATURE_LINES = 15
_MAX_CLOSING_LINES = 6
_MAX_SIGNATURE_CHARS = 80
_HEADING_LINES = 12
_MIN_FOLDED_CHARS = 32  # a shorter signature takes no more room than what is said of it

_SIGNATURE = re.compile(r"-- ?$")
_SENT_FROM = re.compile(
    r"(?:Sent (?:from|via) (?:my|Yahoo|Outlook|Mail|Proton)|Get Outlook for|Gesendet (?:von|mit)|Von meinem .* gesendet"
    r"|Envoyé (?:de|depuis) mon|Télécharger Outlook|Enviado (?:desde|do) (?:mi|meu)|Inviato da"
    r"|Verzonden (?:vanaf|met) mijn"
    r"|Skickat från min|Sendt fra min)\b.{0,60}$",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"(?:(?:(?:kind|best|warm|many|with) )?(?:regards|wishes)|best|cheers|thanks|thank you|many thanks|thx|sincerely"
    r"(?: yours)?|yours (?:sincerely|truly|faithfully)|(?:viele|beste|liebe|schöne|freundliche|herzliche) grüße"
    r"|mit (?:freundlichen|besten|herzlichen) grüßen|mfg|(?:bien )?cordialement|(?:bien )?à vous|meilleures salutations"
    r"|(?:un )?(?:cordial )?saludos?(?: cordiales)?|atentamente|cordiali saluti|distinti saluti|saluti|atenciosamente"
    r"|(?:com os )?(?:melhores )?cumprimentos|abraços?|met vriendelijke groet(?:en)?|groet(?:en|jes)?"
    r"|(?:med )?vänliga? hälsning(?:ar)?|mvh|(?:med )?venlig hilsen|z poważaniem|pozdrawiam|с уважением)[,.!]?\s*$",
    re.IGNORECASE,
)
_HEADER = re.compile(r"[ \t]*\*{0,2}([^\W\d_][\w. -]{0,24}?)\*{0,2}[ \xa0]?[:：]\*{0,2}[ \t\xa0]*(.*)")


@dataclass(frozen=True, slots=True)
class Forwarded:
    """A mail inside another one: its header fields as they are written there ("From", "Von"), and its text.

    `heading` is all that stands above the text but rules and space: what the program wrote, and the fields.
    """

    headers: dict[str, str]
    body: str
    heading: tuple[str, ...] = ()


def fold_quotes(text: str) -> str:
    """Return the text with every quoted mail replaced by `FOLDED`; see `split_quotes`."""
    return split_quotes(text)[0]


def split_quotes(text: str) -> tuple[str, str]:
    """Return the text with every quoted mail replaced by `FOLDED`, and what was folded ("" when nothing was).

    Folded to the end: "-----Original Message-----", Outlook's headings (From, Sent, To, Subject) and Lotus Notes'
    ("name on date" above To: and Subject:), in many languages. Folded as a block: lines that begin with ">", with the
    "On ... wrote:" above them. Kept: what a forward carries, a text that begins with its quotation, and what begins
    after the first `MAX_LINES` lines.
    """
    lines = text.split("\n")
    kept: list[str] = []
    folded: list[str] = []
    position = 0
    while position < min(len(lines), MAX_LINES):
        is_carried = is_forward(lines, position)
        length = len(lines) if is_carried else quotation_length(lines, position)
        taken = lines[position : position + max(1, length)]
        if is_carried or not length or not any(line.strip() for line in kept):
            kept += taken
        else:
            _append_fold(kept)
            folded += taken
        position += len(taken)
    kept += lines[position:]
    return "\n".join(kept).rstrip(), "\n".join(folded).strip("\n")


def split_forwards(text: str) -> tuple[str, list[Forwarded]]:
    """Return what stands above the first forwarded mail, and the forwarded mails in order."""
    lines = text.split("\n")
    starts = _forward_lines(lines)
    if not starts:
        return text, []
    ends = [*starts[1:], len(lines)]
    own = "\n".join(lines[: starts[0]]).rstrip()
    return own, [_forwarded(lines[start:end]) for start, end in zip(starts, ends, strict=True)]


def forward_places(text: str) -> list[int]:
    """Return where in the text each forwarded mail begins, the line that its program wrote above it included."""
    lines = text.split("\n")
    places, place, number = [], 0, 0
    for start in _forward_lines(lines):
        place += sum(len(line) + 1 for line in lines[number:start])
        places.append(place)
        number = start
    return places


def split_signature(text: str) -> tuple[str, str]:
    """Return the text and the signature at its end ("" when there is none).

    A signature is what follows "-- " alone on a line, "Sent from my ...", or a closing ("Best regards,") above at most
    six short lines; the closing is part of it. "-- " counts before the others.
    """
    lines = text.rstrip().split("\n")
    places = range(len(lines) - 1, max(-1, len(lines) - _MAX_SIGNATURE_LINES), -1)
    marked = (place for place in places if _SIGNATURE.match(lines[place]))
    place = next(marked, None)
    if place is None:
        place = next((place for place in places if _is_closing(lines, place)), 0)
    above = "\n".join(lines[:place]).rstrip()
    return (above, "\n".join(lines[place:])) if above else (text, "")


def fold_signature(text: str) -> tuple[str, str]:
    """Return the text with the signature at its end, or above a quotation there, folded; and what was folded.

    A short one stays; "" when nothing was folded.
    """
    above = text.removesuffix(FOLDED).rstrip()
    own, signature = split_signature(above)
    if len(signature) < _MIN_FOLDED_CHARS:
        return text, ""
    return "\n\n".join((own, SIGNATURE_FOLDED, *([FOLDED] if text.endswith(FOLDED) else []))), signature


def strip_signature(text: str) -> str:
    """Return the text without its signature; see `split_signature`."""
    return split_signature(text)[0]


def _is_closing(lines: list[str], place: int) -> bool:
    line = lines[place].strip()
    return _SENT_FROM.match(line) is not None or (_CLOSING.match(line) is not None and _is_short(lines, place))


def _is_short(lines: list[str], place: int) -> bool:
    below = [line.strip() for line in lines[place + 1 :] if line.strip()]
    return len(below) <= _MAX_CLOSING_LINES and all(len(line) <= _MAX_SIGNATURE_CHARS for line in below)


def _append_fold(kept: list[str]) -> None:
    while kept and not kept[-1].strip():
        kept.pop()
    if kept[-1] != FOLDED:
        kept += ["", FOLDED]


def _forward_lines(lines: list[str]) -> list[int]:
    looked_at = range(min(len(lines), MAX_LINES))
    return [place for place in looked_at if is_forward(lines, place)][:MAX_FORWARDS]


def _forwarded(lines: list[str]) -> Forwarded:
    """Read the lines of one forwarded mail; the first is the one that its program wrote above it."""
    first, lines = lines[0], lines[1:]
    headers: dict[str, str] = {}
    num_read = 0
    for line in lines[:_HEADING_LINES]:
        header = _HEADER.match(line)
        if header is None and headers and not line.strip():
            break
        num_read += 1
        if header is not None:
            headers.setdefault(header[1].strip(), header[2].strip())
    num_read = num_read if headers else 0
    heading = (" ".join(line.split()).strip("-_ :") for line in (first, *lines[:num_read]))
    return Forwarded(headers, "\n".join(lines[num_read:]).strip("\n"), tuple(line for line in heading if line))
