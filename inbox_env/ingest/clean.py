"""Folds what a reply repeats: quoted mails become one line, so that a body shows what its sender wrote.

Also parts a text from its signature and from the mails that it forwards. Pure text to text; `quotes` knows the words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from inbox_env.ingest.quotes import is_forward, quotation_length

FOLDED = "[quoted text folded]"
MAX_FORWARDS = 50
MAX_LINES = 20_000  # no person writes more above what is quoted
_MAX_SIGNATURE_LINES = 15
_MAX_CLOSING_LINES = 6
_MAX_SIGNATURE_CHARS = 80
_HEADING_LINES = 12

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
    """A mail inside another one: its header fields as they are written there ("From", "Von"), and its text."""

    headers: dict[str, str]
    body: str


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
    starts = [place for place in range(len(lines)) if is_forward(lines, place)][:MAX_FORWARDS]
    if not starts:
        return text, []
    ends = [*starts[1:], len(lines)]
    own = "\n".join(lines[: starts[0]]).rstrip()
    return own, [_forwarded(lines[start + 1 : end]) for start, end in zip(starts, ends, strict=True)]


def split_signature(text: str) -> tuple[str, str]:
    """Return the text and the signature at its end ("" when there is none).

    A signature is what follows "-- " alone on a line, "Sent from my ...", or a closing ("Best regards,") above at most
    six short lines; the closing is part of it.
    """
    lines = text.rstrip().split("\n")
    for place in range(len(lines) - 1, max(0, len(lines) - _MAX_SIGNATURE_LINES), -1):
        line = lines[place].strip()
        if (
            _SIGNATURE.match(lines[place])
            or _SENT_FROM.match(line)
            or (_CLOSING.match(line) and _is_short(lines, place))
        ):
            above = "\n".join(lines[:place]).rstrip()
            return (above, "\n".join(lines[place:])) if above else (text, "")
    return text, ""


def strip_signature(text: str) -> str:
    """Return the text without its signature; see `split_signature`."""
    return split_signature(text)[0]


def _is_short(lines: list[str], place: int) -> bool:
    below = [line.strip() for line in lines[place + 1 :] if line.strip()]
    return len(below) <= _MAX_CLOSING_LINES and all(len(line) <= _MAX_SIGNATURE_CHARS for line in below)


def _append_fold(kept: list[str]) -> None:
    while kept and not kept[-1].strip():
        kept.pop()
    if kept[-1] != FOLDED:
        kept += ["", FOLDED]


def _forwarded(lines: list[str]) -> Forwarded:
    headers: dict[str, str] = {}
    num_read = 0
    for line in lines[:_HEADING_LINES]:
        header = _HEADER.match(line)
        if header is None and headers and not line.strip():
            break
        num_read += 1
        if header is not None:
            headers.setdefault(header[1].strip(), header[2].strip())
    return Forwarded(headers, "\n".join(lines[num_read if headers else 0 :]).strip("\n"))
