"""Which mails of an inbox a chat model may be shown to ask about, and how it is shown them.

Memory grows with the number of mails, not with their text. Knows nothing of batches or models.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from hashlib import sha256

from inbox_env.emails import Address, Email
from inbox_env.errors import UsageError
from inbox_env.ingest.clean import fold_quotes
from inbox_env.known_items.mails import MAX_SAME_SUBJECT, is_owner, own_text, plain_subject, plausible_days
from inbox_env.rendering import ResultStyle, render_headers
from inbox_env.search.folding import words
from inbox_env.store import EmailStore
from rewards.judge_prompt import enclosed, plain

MIN_MAIL_WORDS = 6
MAX_MAIL_CHARS = 1500
_HEADERS = ResultStyle(result_chars=1000)
_KEY_WORDS = 60


@dataclass(frozen=True, slots=True)
class Askable:
    """A mail that can be asked about: `person` is whom the owner exchanged it with, as an address."""

    number: int
    sent: date
    person: str


def askable_mails(store: EmailStore, inbox: str) -> list[Askable]:
    """Return the dated mails of `inbox` in which somebody wrote a few words, oldest first, copies once.

    Of more than `MAX_SAME_SUBJECT` mails with one subject (petitions, daily reports) so many stay, spread over them.
    Raises UsageError when there is none.
    """
    owner = store.info(inbox).owner
    found: list[Askable] = []
    seen: set[bytes] = set()
    by_subject: dict[str, list[int]] = defaultdict(list)
    for stored in store.emails(inbox):
        email = stored.email
        said = words(own_text(email))
        key = sha256(" ".join(said[:_KEY_WORDS]).encode()).digest()[:12]
        if email.date is not None and len(said) >= MIN_MAIL_WORDS and key not in seen:
            seen.add(key)
            found.append(Askable(stored.number, email.date.date(), _person(email, owner)))
            by_subject[plain_subject(email.subject).casefold()].append(stored.number)
    days = plausible_days([one.sent for one in found])
    few = {number for numbers in by_subject.values() for number in _spread(numbers)}
    kept = [one for one in found if days is not None and days[0] <= one.sent <= days[1] and one.number in few]
    if not kept:
        next_step = f"it needs dated mail of {MIN_MAIL_WORDS} words or more"
        raise UsageError(60, f"no mail of {inbox!r} can be asked about", next_step=next_step)
    return kept


def shown(email: Email, owner: Address) -> str:
    """Return what a model sees of a mail: headers and text, without quotations, of limited length."""
    return plain(f"{render_headers(email, _HEADERS, owner)}\n\n{fold_quotes(email.body)}", MAX_MAIL_CHARS)


def shown_mails(emails: Iterable[Email], owner: Address) -> str:
    """Return several mails, numbered from 1, each between two lines with a marker that it cannot write itself."""
    return "\n\n".join(enclosed(f"mail {place}", shown(email, owner)) for place, email in enumerate(emails, 1))


def _spread(numbers: list[int]) -> list[int]:
    size = min(len(numbers), MAX_SAME_SUBJECT)
    return [numbers[place * len(numbers) // size] for place in range(size)]


def _person(email: Email, owner: Address) -> str:
    if not is_owner(email.sender, owner):
        return email.sender.email
    return email.to[0].email if email.to else ""
