"""What can be answered from one mail and checked by its text: a typed value that it alone holds, or who sent it.

Knows nothing of how questions are worded or of how answers are matched.
"""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass

from inbox_env.known_items.mails import KnownMail, signed_text
from inbox_env.known_items.values import only_values
from inbox_env.questions import AnswerType
from inbox_env.search.folding import words

_MAX_EVIDENCE = 200
_SIGNATURE_LINES = 6  # between the name and the last of an address
_HEADER = re.compile(r"^[ \t>]*(?:From|Sent|To|cc|Subject|Date)[ \t]?:", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, other forms that say the same, the words of the mail that give it, and what a place is called."""

    type: AnswerType
    text: str
    accepted: tuple[str, ...] = ()
    evidence: str = ""
    noun: str = ""


def value_answers(mail: KnownMail) -> list[Answer]:
    """Return the values that a mail's own text holds just once, when nothing of its sender's looks like another."""
    whole = f"{mail.email.subject}\n{signed_text(mail.email)}"
    if _HEADER.search(whole):
        return []  # somebody else's text, quoted in a way that was not recognised
    return [
        Answer(value.type, value.text, value.accepted, _line_with(value.text, mail.text), value.noun)
        for value in only_values(mail.text, whole)
        if value.type not in ("phone", "place") or not _is_signed(value.text, mail)
    ]


def sender_answer(mail: KnownMail) -> Answer | None:
    """Return who sent a mail to the owner; None for the owner's own mail."""
    if mail.is_by_owner:
        return None
    sender = mail.email.sender
    forms = (" ".join(sender.name.split()), sender.email)
    return Answer("sender", mail.person, tuple(form for form in forms if form not in ("", mail.person)))


def mail_answer(mail: KnownMail) -> Answer:
    """Return what says which mail it is: for find mode, where the text of an answer does not count."""
    return Answer("mail", mail.topic or " ".join(mail.text.split()[:8]))


def _is_signed(value: str, mail: KnownMail) -> bool:
    """Whether a value stands below the sender's name, as in a signature without a mark."""
    name = set(words(f"{mail.email.sender.name} {mail.person if not mail.is_by_owner else ''}"))
    lines = [line for line in mail.text.splitlines() if line.strip()]
    place = next((number for number, line in enumerate(lines) if value in " ".join(line.split())), 0)
    above = [*lines[max(0, place - _SIGNATURE_LINES) : place], lines[place].replace(value, "")] if lines else []
    said = (words(line) for line in above)
    return any((0 < len(one) <= len(name) and name.issuperset(one)) or _starts_with(one, name) for one in said)


def _starts_with(said: Sequence[str], name: Container[str]) -> bool:
    return len(said) > 1 and all(word in name for word in said[:2])


def _line_with(value: str, text: str) -> str:
    """Return the sentence with the value, in one line."""
    plain = " ".join(text.split())
    place = max(0, plain.find(value))
    starts = [match.end() for match in re.finditer(r"[.!?]\s", plain[:place])]
    start = max(starts[-1] if starts else 0, place - _MAX_EVIDENCE // 2)
    end = re.compile(r"[.!?](?:\s|$)").search(plain, place + len(value))
    return plain[start : min(end.end() if end else len(plain), start + _MAX_EVIDENCE)].strip()
