"""Which mails of an inbox a person could be asked about: written by a person, long enough, not one of many copies.

Reads a store; memory grows with the number of mails, not with their text. Knows nothing of how questions are worded.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from itertools import pairwise
from random import Random

from inbox_env.emails import Address, Email
from inbox_env.ingest.clean import FOLDED, fold_quotes, split_forwards, strip_signature
from inbox_env.search.folding import words
from inbox_env.store import EmailStore, StoredEmail

MIN_WORDS, MAX_WORDS = 8, 250
MAX_COPIES = 2  # with more, it is a form letter, and which one was meant is anybody's guess
MAX_SAME_SUBJECT = 12
MAX_RECIPIENTS = 12
_KEY_WORDS = 40

_REPLY = re.compile(r"^\s*(?:(?:re|fw|fwd|aw|wg|sv|tr|rv)\s*(?:\[\d+\])?\s*:\s*|\[[^\]]{1,30}\]\s*)+", re.IGNORECASE)
_CARRIED = re.compile(
    r"(?:Forwarded (?:by|message|mail|with)|Begin forwarded message|-- ?Original |_{12})", re.IGNORECASE
)
_NOT_OWN = re.compile(  # a head without a mark above it, a line of stars above the small print
    r"^[ \t]*To:[^\n]*(?:\n[^\n]*){0,8}?\n[ \t]*Subject:|^[ \t]*[*_=]{8,}|^[^\n]{0,40}\bany other company referenced"
    r"|^[^\n]{0,40}\b(?:This|The information in this) (?:e-?mail|message|communication)\b[^\n]{0,80}"
    r"\b(?:confidential|intended|privileged|property)\b",
    re.MULTILINE | re.IGNORECASE,
)
_NOT_TEXT = re.compile(r"https?://\S+|www\.\S+|\S+@\S+|<[^>]{1,300}>|\[[^\]\n]{1,60}\]")
_BULK = re.compile(
    r"unsubscribe|opt[- ]?out|mailing list|to be removed|click (?:here|below)|view (?:it|this) in your browser"
    r"|privacy policy|all rights reserved|do not reply|has been published|is now available"
    r"|out of (?:the )?office|auto-?(?:reply|response)|automatic notification",
    re.IGNORECASE,
)
_NOT_A_PERSON = frozenset(
    (
        "account accounting accounts admin administration administrator alert alerts announcement announcements "
        "association bank board book broadcast bulletin bulletins business capital center central chairman change "
        "club committee communication communications company conference corp corporation council credit customer "
        "daily department desk digest director editor energy enron event events executive express fitness forum "
        "foundation fund global group help helpdesk human inc info information institute international journal legal "
        "list llc ltd magazine mail mailer management manager market marketing member members messenger network news "
        "newsletter noreply notice notification office online operations order orders outage payroll postmaster power "
        "press public publishing reminder report reports research resources sales security server service services "
        "solutions store subscriptions support survey system systems team technology the times travel union "
        "university update updates user webmaster weekly worldwide"
    ).split()
)
_SUFFIXES = frozenset({"jr", "sr", "ii", "iii", "iv", "phd", "md", "esq"})


@dataclass(frozen=True, slots=True)
class KnownMail:
    """A mail to ask about: `text` is what its sender wrote, `person` whom the owner exchanged it with, `ids` its
    Message-ID and those of its near-identical copies."""

    number: int
    email: Email
    sent: date
    text: str
    topic: str
    person: str
    is_by_owner: bool
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KnownMails:
    """The mails of one inbox that can be asked about, oldest first, and the day of its newest mail."""

    mails: tuple[KnownMail, ...]
    last_day: date | None


@dataclass(frozen=True, slots=True)
class _Fact:
    number: int
    sent: date | None
    message_id: str
    key: str
    subject: str
    is_asked: bool


def known_mails(store: EmailStore, inbox: str) -> KnownMails:
    """Return what can be asked about in `inbox`."""
    owner = store.info(inbox).owner
    correspondents = _correspondents(store, inbox, owner)
    facts = [_fact(stored.number, stored.email, owner, correspondents) for stored in store.emails(inbox)]
    days = _plausible_days([fact.sent for fact in facts if fact.sent is not None])
    subjects = Counter(fact.subject for fact in facts)
    copies: dict[str, list[_Fact]] = {}
    for fact in facts:
        copies.setdefault(fact.key, []).append(fact)
    mails = []
    for fact in facts:
        twins = copies[fact.key]
        is_common = len(twins) > MAX_COPIES or subjects[fact.subject] > MAX_SAME_SUBJECT
        if not fact.is_asked or is_common or twins[0] is not fact or fact.sent is None or days is None:
            continue
        if days[0] <= fact.sent <= days[1]:
            stored = store.read(inbox, fact.number, None)
            assert stored is not None, "the number comes from this inbox"
            mails.append(_known(stored, fact.sent, owner, tuple(twin.message_id for twin in twins)))
    return KnownMails(tuple(mails), days[1] if days else None)


def spread(mails: tuple[KnownMail, ...], count: int, random: Random) -> list[KnownMail]:
    """Return all of `mails` (by date): first `count` taken evenly over time, then the rest, each part shuffled."""
    count = min(count, len(mails))
    edges = [round(place * len(mails) / count) for place in range(count + 1)] if count else []
    first = [random.randrange(low, high) for low, high in pairwise(edges)]
    chosen = set(first)
    rest = [place for place in range(len(mails)) if place not in chosen]
    random.shuffle(first)
    random.shuffle(rest)
    return [mails[place] for place in first + rest]


def plain_subject(subject: str) -> str:
    """Return the subject without "Re:", "Fw:" and list tags."""
    return " ".join(_REPLY.sub("", subject).split())


def person_name(address: Address) -> str:
    """Return a person's name as people say it ("Ann Lee"), or "" when it is no person's."""
    shown = re.sub(r"\(.*?\)", "", address.name).strip()
    name = shown if " " in shown else address.email.partition("@")[0].replace(".", " ")
    last, comma, first = name.partition(",")
    parts = [part.strip("\"'.()") for part in (f"{first} {last}" if comma else name).split()]
    parts = [part for part in parts if len(part) > 1 and part.lower() not in _SUFFIXES]
    is_shop = "&" in shown or any(part.endswith(("'s", "’s")) for part in parts)
    is_name = (
        not is_shop and 2 <= len(parts) <= 3 and all(part.replace("-", "").replace("'", "").isalpha() for part in parts)
    )
    if not is_name or any(part.lower() in _NOT_A_PERSON for part in parts):
        return ""
    return " ".join(part.capitalize() if part.islower() or part.isupper() else part for part in parts)


def own_text(email: Email) -> str:
    """Return what the sender wrote: no quotes, no forwarded mail, no signature, no addresses."""
    return _NOT_TEXT.sub(" ", strip_signature(signed_text(email))).strip(" \t\n-")


def signed_text(email: Email) -> str:
    """Return what the sender wrote, with the signature: no quotes, no forwarded mail."""
    text = split_forwards(fold_quotes(email.body))[0].replace(FOLDED, "")
    return _NOT_OWN.split(_CARRIED.split(text, maxsplit=1)[0], maxsplit=1)[0]


def is_owner(address: Address, owner: Address) -> bool:
    """Whether an address is the owner's: the same address, or another one under the same name."""
    return bool(address.email) and (
        address.email == owner.email or (" " in owner.name and person_name(address) == person_name(owner) != "")
    )


def _correspondents(store: EmailStore, inbox: str, owner: Address) -> frozenset[str]:
    """Return the addresses that the owner ever wrote to."""
    by_owner = (stored.email for stored in store.emails(inbox) if is_owner(stored.email.sender, owner))
    return frozenset(address.email for email in by_owner for address in email.recipients)


def _fact(number: int, email: Email, owner: Address, correspondents: frozenset[str]) -> _Fact:
    text = own_text(email)
    plain = words(text)
    key = sha256(" ".join(plain[:_KEY_WORDS] or [email.message_id]).encode()).hexdigest()[:24]
    is_known = _is_known(email.sender, owner, correspondents)
    is_asked = (
        MIN_WORDS <= len(plain) <= MAX_WORDS
        and 1 <= len(email.recipients) <= MAX_RECIPIENTS
        and is_known
        and bool(_other(email, owner))
        and not _BULK.search(f"{email.subject}\n{email.body}")
    )
    sent = None if email.date is None else email.date.date()
    return _Fact(
        number, sent, email.message_id, key, plain_subject(email.subject).lower() or email.message_id, is_asked
    )


def _is_known(sender: Address, owner: Address, correspondents: frozenset[str]) -> bool:
    """Strangers write bulk mail: a sender is the owner, a colleague, or somebody the owner wrote to."""
    is_colleague = sender.email.rpartition("@")[2] == owner.email.rpartition("@")[2] != ""
    return is_owner(sender, owner) or sender.email in correspondents or is_colleague


def _other(email: Email, owner: Address) -> str:
    """Return the name of the sender, or of the first recipient when the owner sent it."""
    if not is_owner(email.sender, owner):
        return person_name(email.sender)
    return "" if is_owner(email.to[0] if email.to else owner, owner) else person_name(email.to[0])


def _known(stored: StoredEmail, sent: date, owner: Address, ids: tuple[str, ...]) -> KnownMail:
    email = stored.email
    subject, is_by_owner = plain_subject(email.subject), is_owner(email.sender, owner)
    return KnownMail(stored.number, email, sent, own_text(email), subject, _other(email, owner), is_by_owner, ids)


def _plausible_days(days: list[date]) -> tuple[date, date] | None:
    """Return the first and last day of nearly all mails: clocks that were wrong say 1979 or 2044."""
    if not days:
        return None
    days = sorted(days)
    spare = len(days) // 200
    return days[spare], days[-1 - spare]
