"""How search results and mails look to a policy: short, and easy to copy from.

Mail text is hostile: whatever stands in a header stays on its line, and a list of people or files ends after ten of
them; the whole list stands on the last pages. With a limit on a result's length, hits and headers are shortened, and
hits and pages become fewer on a page, so that all is still reached page by page.
Knows nothing of indexes or tool calls.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from inbox_env.emails import Address, Attachment, Email
from inbox_env.search.base import SearchHit, SearchResult

_NO_SPACE = re.compile(r"\S")
_HEAD_CHARS = 100  # room for what stands above the hits
_MIN_HIT_CHARS = 60
_PAGE_LINE_CHARS = 40
_MAX_THREAD = 10
_MAX_LISTED = 10  # people or files in one line of the headers
_MAX_LINE_CHARS = 1_000


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
    show_thread: bool = False
    """Whether a mail shows the numbers of the mails of its thread."""
    result_chars: int | None = Field(default=None, ge=400)
    """Most characters of one result; none: no limit. Characters, as no tokenizer is known here: on real mail Qwen's
    takes one token for 3.3 of them on average and 2 at worst, the bundled model's for 1.8."""


def num_hits_shown(style: ResultStyle) -> int:
    """Return how many hits one page holds: so many that each has a readable line within the limit."""
    if style.result_chars is None:
        return style.hits_per_page
    return min(style.hits_per_page, (style.result_chars - _HEAD_CHARS) // _MIN_HIT_CHARS)


def num_body_chars(head: str, style: ResultStyle) -> int:
    """Return how much of a mail's body one page holds beside these headers."""
    if style.result_chars is None:
        return style.page_chars
    return min(style.page_chars, style.result_chars - len(head) - _PAGE_LINE_CHARS)


def render_search(result: SearchResult, page: int, num_pages: int, result_chars: int | None = None) -> str:
    """Return the hits of one page, one a line; when none matched, the matches of each keyword alone."""
    head = f"{result.num_matches} found" + (f", page {page} of {num_pages}" if num_pages > 1 else "")
    counts = (f" {one_line(keyword)}: {count}" for keyword, count in result.keyword_counts.items())
    lines = [*map(_render_hit, result.hits), *counts]
    if result_chars is not None and len(head) + sum(len(line) + 1 for line in lines) > result_chars:
        head += ", lines shortened"
        lines = _shortened(lines, result_chars - len(head))
    return "\n".join((head, *lines))


def render_headers(email: Email, style: ResultStyle, owner: Address, thread: Sequence[int] = ()) -> str:
    """Return what stands above a mail's body."""
    lines = _headers(email, style, owner)
    if len(thread) > 1:
        lines.append(f"Thread: {', '.join(map(str, thread[:_MAX_THREAD]))}{', ...' * (len(thread) > _MAX_THREAD)}")
    lines = [line if len(line) <= _MAX_LINE_CHARS else line[: _MAX_LINE_CHARS - 3] + "..." for line in lines]
    if style.result_chars is not None and sum(len(line) + 1 for line in lines) > style.result_chars // 2:
        lines = _shortened(lines, style.result_chars // 2)
    return "\n".join(lines)


def render_whole_lists(email: Email, style: ResultStyle) -> str:
    """Return the lists that the headers do not show whole; "" when there are none."""
    lists = [*_people(email, style), ("Attachments", [_attachment(one) for one in email.attachments])]
    return "\n".join(f"{name}: {', '.join(items)}" for name, items in lists if len(items) > _MAX_LISTED + 1)


def render_page(head: str, pages: Sequence[str], page: int) -> str:
    """Return headers and page `page` (from 1) of a mail."""
    text = f"{head}\n\n{pages[page - 1]}"
    return text if len(pages) == 1 else f"{text}\n[page {page} of {len(pages)}]"


def split_body(body: str, page_chars: int) -> list[str]:
    """Return the body in pages of at most `page_chars`, cut at a line's or a word's end where there is one."""
    pages, start = [], 0
    text = body.strip()
    while len(text) - start > page_chars:
        cut = _cut(text, start, page_chars)
        pages.append(text[start:cut].rstrip())
        begin = _NO_SPACE.search(text, cut)
        start = begin.start() if begin is not None else len(text)
    return [*pages, text[start:]]


def _cut(text: str, start: int, page_chars: int) -> int:
    for mark in ("\n", " "):
        cut = text.rfind(mark, start + page_chars // 2, start + page_chars + 1)
        if cut > start:
            return cut
    return start + page_chars


def _render_hit(hit: SearchHit) -> str:
    day = "undated" if hit.date is None else hit.date.date().isoformat()
    snippet = f" | {hit.snippet}" if hit.snippet else ""
    return f"{hit.number} {day} {one_line(hit.sender)}: {one_line(hit.subject)}{snippet}"


def _shortened(lines: Sequence[str], num_chars: int) -> list[str]:
    """Return the lines cut so that all of them, with line breaks, have at most `num_chars`; short ones stay whole."""
    kept = []
    left = num_chars
    for place, line in enumerate(lines):
        room = left // (len(lines) - place) - 1
        kept.append(line if len(line) <= room else line[: max(0, room - 3)] + "...")
        left -= len(kept[-1]) + 1
    return kept


def _headers(email: Email, style: ResultStyle, owner: Address) -> list[str]:
    lines = [f"From: {_person(email.sender, style)}"]
    if [address.email for address in email.recipients] != [owner.email] or not owner.email:
        lines += [f"{name}: {_listed(who)}" for name, who in _people(email, style) if who]
    lines += [f"Date: {_date(email, style)}", f"Subject: {one_line(email.subject)}"]
    if email.attachments:
        lines.append("Attachments: " + _listed([_attachment(one) for one in email.attachments]))
    return lines


def _people(email: Email, style: ResultStyle) -> list[tuple[str, list[str]]]:
    fields = (("To", email.to), ("Cc", email.cc), ("Bcc", email.bcc))
    return [(name, [_person(address, style) for address in who]) for name, who in fields]


def _listed(items: Sequence[str]) -> str:
    """Return the first of the items, and how many more there are; one more is shown rather than counted."""
    if len(items) <= _MAX_LISTED + 1:
        return ", ".join(items)
    return f"{', '.join(items[:_MAX_LISTED])} and {len(items) - _MAX_LISTED} more"


def _person(address: Address, style: ResultStyle) -> str:
    return one_line(str(address) if style.show_addresses else address.name or address.email)


def _date(email: Email, style: ResultStyle) -> str:
    if email.date is None:
        return "undated"
    return f"{email.date:%Y-%m-%d %H:%M}" if style.show_addresses else f"{email.date:%Y-%m-%d}"


def _attachment(attachment: Attachment) -> str:
    for unit, size in (("MB", 1_000_000), ("kB", 1_000)):
        if attachment.size >= size:
            return f"{one_line(attachment.name)} ({attachment.size / size:.0f} {unit})"
    return f"{one_line(attachment.name)} ({attachment.size} B)"


def one_line(text: str) -> str:
    """Return the text with all its whitespace collapsed to single spaces."""
    return " ".join(text.split())
