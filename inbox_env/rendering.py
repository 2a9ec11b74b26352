"""How search results and mails look to a policy: short, and easy to copy from.

Mail text is hostile: whatever stands in a header stays on its line. Knows nothing of indexes or tool calls.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from inbox_env.emails import Address, Attachment, Email
from inbox_env.search.base import SearchHit, SearchResult


class ResultStyle(BaseModel):
    """How much a tool result shows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hits_per_page: int = Field(default=10, ge=1, le=100)
    """Search hits on one page."""
    snippet_chars: int = Field(default=160, ge=0, le=2000)
    """Length of the text shown with a hit; 0 shows none."""
    page_chars: int = Field(default=4000, ge=20)
    """Length of one page of a mail's body."""
    show_addresses: bool = True
    """Whether a mail shows addresses and the time of day, or only names and the day."""


def render_search(result: SearchResult, page: int, num_pages: int) -> str:
    """Return the hits of one page, one a line; when none matched, the matches of each keyword alone."""
    head = f"{result.num_matches} found" + (f", page {page} of {num_pages}" if num_pages > 1 else "")
    counts = (f" {_line(keyword)}: {count}" for keyword, count in result.keyword_counts.items())
    return "\n".join((head, *map(_render_hit, result.hits), *counts))


def render_email(email: Email, pages: Sequence[str], page: int, style: ResultStyle, owner: Address) -> str:
    """Return headers and page `page` (from 1) of the body."""
    text = f"{_headers(email, style, owner)}\n\n{pages[page - 1]}"
    return text if len(pages) == 1 else f"{text}\n[page {page} of {len(pages)}]"


def split_body(body: str, page_chars: int) -> list[str]:
    """Return the body in pages of at most `page_chars`, cut at a line's or a word's end where there is one."""
    pages = []
    rest = body.strip()
    while len(rest) > page_chars:
        cut = _cut(rest, page_chars)
        pages.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return [*pages, rest]


def _cut(text: str, page_chars: int) -> int:
    for mark in ("\n", " "):
        cut = text.rfind(mark, page_chars // 2, page_chars + 1)
        if cut > 0:
            return cut
    return page_chars


def _render_hit(hit: SearchHit) -> str:
    day = "undated" if hit.date is None else f"{hit.date:%Y-%m-%d}"
    snippet = f" | {hit.snippet}" if hit.snippet else ""
    return f"{hit.number} {day} {_line(hit.sender)}: {_line(hit.subject)}{snippet}"


def _headers(email: Email, style: ResultStyle, owner: Address) -> str:
    lines = [f"From: {_person(email.sender, style)}"]
    if [address.email for address in email.recipients] != [owner.email] or not owner.email:
        people = (("To", email.to), ("Cc", email.cc), ("Bcc", email.bcc))
        lines += [f"{name}: {', '.join(_person(a, style) for a in who)}" for name, who in people if who]
    lines += [f"Date: {_date(email, style)}", f"Subject: {_line(email.subject)}"]
    if email.attachments:
        lines.append("Attachments: " + ", ".join(map(_attachment, email.attachments)))
    return "\n".join(lines)


def _person(address: Address, style: ResultStyle) -> str:
    return _line(str(address) if style.show_addresses else address.name or address.email)


def _date(email: Email, style: ResultStyle) -> str:
    if email.date is None:
        return "undated"
    return f"{email.date:%Y-%m-%d %H:%M}" if style.show_addresses else f"{email.date:%Y-%m-%d}"


def _attachment(attachment: Attachment) -> str:
    for unit, size in (("MB", 1_000_000), ("kB", 1_000)):
        if attachment.size >= size:
            return f"{_line(attachment.name)} ({attachment.size / size:.0f} {unit})"
    return f"{_line(attachment.name)} ({attachment.size} B)"


def _line(text: str) -> str:
    return " ".join(text.split())
