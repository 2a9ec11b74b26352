"""Mail as a person reads it in a terminal: a list of hits, and one mail in full.

A terminal gets a table, a pipe gets one tab-separated line for each hit. Knows nothing of files or policies.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from inbox_env.emails import Address, Email
from inbox_env.search.base import SearchHit, SearchResult
from inbox_env.store import StoredEmail
from scripts.terminal import plural, safe, safe_line, size_text

_MAX_ADDRESSES = 10


def print_hits(console: Console, result: SearchResult, *, page: int, page_size: int) -> None:
    """Print one page of hits and how many there are; when nothing matched, the matches of each keyword alone.

    Where the hits go into a pipe, the count goes to standard error.
    """
    summary = summary_line(result, page=page, page_size=page_size)
    if not console.is_terminal:
        for hit in result.hits:
            print("\t".join(_cells(hit)), file=console.file)
        console.file.flush()  # so that the count comes last where both streams meet
        print(summary, file=sys.stderr)
        return
    if result.hits:
        console.print(hit_table(result.hits, console.width))
    console.print(summary)


def hit_table(hits: Sequence[SearchHit], width: int) -> Table:
    """Return a table of the hits, `width` characters wide, of safe, literal text; numbers and dates stay whole."""
    table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
    table.add_column("no.", justify="right", no_wrap=True, min_width=max(len(str(hit.number)) for hit in hits))
    table.add_column("date", no_wrap=True, min_width=max(len(day(hit.date)) for hit in hits))
    table.add_column("from", max_width=min(24, width // 5), no_wrap=True, overflow="ellipsis")
    table.add_column("subject", max_width=min(40, width // 3), no_wrap=True, overflow="ellipsis")
    table.add_column("text", no_wrap=True, overflow="ellipsis", style="dim", ratio=1)
    for hit in hits:
        table.add_row(*(Text(cell) for cell in _cells(hit)))
    return table


def summary_line(result: SearchResult, *, page: int, page_size: int) -> str:
    """Return one line: which hits of how many, or what each keyword alone would match."""
    total = result.num_matches
    if result.hits:
        first = (page - 1) * page_size + 1
        last = first + len(result.hits) - 1
        return f"{first:,}-{last:,} of {total:,}" + (f" (--page {page + 1} for more)" if last < total else "")
    if total:
        return f"page {page:,} is beyond the last: {total:,} found on {plural(-(-total // page_size), 'page')}"
    alone = ", ".join(f"{safe_line(word)} {count:,}" for word, count in result.keyword_counts.items())
    return "nothing found" + (f"; each keyword alone: {alone}" if alone else "")


def print_email(console: Console, stored: StoredEmail) -> None:
    """Print one mail: its envelope, what is attached, its text, and what was read of its attachments."""
    for name, value in _envelope(stored):
        if value:
            console.print(Text.assemble((f"{name:<9}", "dim"), safe_line(value)))
    console.print()
    console.print(Text(safe(stored.email.body).rstrip()))
    for attachment in stored.email.attachments:
        if attachment.text:
            console.print()
            console.print(Text(f"[attachment {safe_line(attachment.name)}]"))
            console.print(Text(safe(attachment.text).rstrip()))


def hit_row(hit: SearchHit) -> dict[str, Any]:
    """Return one hit as a JSON object."""
    return {
        "number": hit.number,
        "message_id": hit.message_id,
        "date": _iso(hit.date),
        "from": hit.sender,
        "subject": hit.subject,
        "snippet": hit.snippet,
    }


def email_row(stored: StoredEmail) -> dict[str, Any]:
    """Return one mail as a JSON object."""
    email = stored.email
    return {
        "number": stored.number,
        "message_id": email.message_id,
        "date": _iso(email.date),
        "from": str(email.sender),
        "to": [str(address) for address in email.to],
        "cc": [str(address) for address in email.cc],
        "subject": email.subject,
        "folders": list(email.folders),
        "attachments": [asdict(attachment) for attachment in email.attachments],
        "body": email.body,
    }


def day(moment: datetime | None) -> str:
    """Return the UTC day, or "undated"."""
    return "undated" if moment is None else f"{moment:%Y-%m-%d}"


def _cells(hit: SearchHit) -> tuple[str, ...]:
    texts = (hit.sender, hit.subject, hit.snippet)
    return (str(hit.number), day(hit.date), *(safe_line(text) for text in texts))


def _envelope(stored: StoredEmail) -> list[tuple[str, str]]:
    email = stored.email
    sent = "" if email.date is None else f"{email.date:%Y-%m-%d %H:%M} UTC"
    return [
        ("number", str(stored.number)),
        ("date", sent),
        ("from", str(email.sender)),
        ("to", _people(email.to)),
        ("cc", _people(email.cc)),
        ("subject", email.subject),
        ("folders", ", ".join(email.folders)),
        ("attached", _attachments(email)),
        ("id", email.message_id),
    ]


def _people(addresses: Sequence[Address]) -> str:
    shown = ", ".join(str(address) for address in addresses[:_MAX_ADDRESSES])
    more = len(addresses) - _MAX_ADDRESSES
    return f"{shown} and {more} more" if more > 0 else shown


def _attachments(email: Email) -> str:
    return ", ".join(f"{part.name} ({part.content_type}, {size_text(part.size)})" for part in email.attachments)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
