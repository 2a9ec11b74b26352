"""Routes to look into an inbox: its mails by range, the agent's search, one mail.

Nothing remembers which inbox was looked at: every request names it. What is sent is text; the page shows it as text.
Knows nothing of questions or policies.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any, Protocol

from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from inbox_env.inbox import Inbox
from inbox_env.search.base import MAX_KEYWORD_CHARS, MAX_KEYWORDS, Order, SearchHit, SearchQuery
from inbox_env.search.folding import words
from inbox_env.store import StoredEmail
from scripts.mail_view import email_row, hit_row
from scripts.playground import mail_html
from scripts.playground.bodies import read_query
from scripts.playground.quotes import forwards_in_script, place_in_script, safe_body
from scripts.search import end_of
from scripts.terminal import safe_line

PAGE_SIZE = 50
BODY_CHARS = 20_000
MORE_CHARS = 400_000
SNIPPET_CHARS = 110
_PART = re.compile(r'(from|to|after|before):(?:"([^"]*)"|(\S*))|"([^"]*)"|(\S+)')


class ListQuery(BaseModel):
    """Which page of which list: `q` is what was typed."""

    inbox: str
    q: str = Field(default="", max_length=1000)
    as_of: date | None = None
    order: Order = "newest"
    page: int = Field(default=1, ge=1, le=1_000_000)


class MailQuery(BaseModel):
    """Which mail: `ref` is its number or Message-ID; `start` is where its text begins; `quote` is to be marked."""

    inbox: str
    ref: str = Field(max_length=2000)
    as_of: date | None = None
    start: int = Field(default=0, ge=0)
    quote: str = Field(default="", max_length=4000)


class Inboxes(Protocol):
    """Whatever has inboxes by name."""

    def inbox(self, name: str) -> Inbox:
        """Return one inbox; raises UsageError when there is none of this name."""
        ...


def mail_routes(choose: Callable[[Request], Inboxes], prefix: str = "/api") -> list[Route]:
    """Return the routes; `choose` says whose inboxes a request is about."""

    async def mails(request: Request) -> Response:
        wanted = read_query(request.query_params, ListQuery)
        return JSONResponse(await run_in_threadpool(_page, choose(request), wanted))

    async def mail(request: Request) -> Response:
        wanted = read_query(request.query_params, MailQuery)
        return JSONResponse(await run_in_threadpool(mail_view, choose(request), wanted))

    async def html(request: Request) -> Response:
        wanted = read_query(request.query_params, MailQuery)
        return HTMLResponse(await run_in_threadpool(_html, choose(request), wanted), headers=mail_html.HEADERS)

    return [Route(f"{prefix}/mails", mails), Route(f"{prefix}/mail", mail), Route(f"{prefix}/mail/html", html)]


def parse_query(typed: str, order: Order, page: int) -> SearchQuery | None:
    """Return what was typed as the query that the agent would send; None when it can match nothing.

    Words and "phrases" must all occur; `from:` `to:` `after:` `before:` narrow the search. What is typed only halfway
    (`from:` without a name, a day that is no day yet) is left out.
    """
    keywords: list[str] = []
    bounds: dict[str, str] = {}
    for field, quoted, bare, phrase, word in _PART.findall(typed):
        if field:
            bounds[field] = quoted or bare
        elif words(phrase or word):
            keywords.append((phrase or word)[:MAX_KEYWORD_CHARS])
    if typed.strip() and not keywords and not any(bounds.values()):
        return None
    people = {field: who for field in ("from", "to") if words(who := bounds.get(field, ""))}
    return SearchQuery(
        tuple(keywords[:MAX_KEYWORDS]),
        from_addr=people.get("from"),
        to_addr=people.get("to"),
        sent_after=_day(bounds.get("after", "")),
        sent_before=_day(bounds.get("before", "")),
        order=order,
        page=page,
    )


def mail_head(stored: StoredEmail) -> dict[str, Any]:
    """Return what a list shows of a mail, as `hit_row` does."""
    email = stored.email
    sender = email.sender.name or email.sender.email
    return safe_row(hit_row(SearchHit(stored.number, email.message_id, email.date, sender, email.subject, "")))


def safe_row(row: dict[str, Any]) -> dict[str, Any]:
    """Return a hit's row without control characters and bidi overrides; its Message-ID stays as it is."""
    return row | {key: safe_line(row[key]) for key in ("from", "subject", "snippet")}


def _page(library: Inboxes, wanted: ListQuery) -> dict[str, Any]:
    query = parse_query(wanted.q, wanted.order, wanted.page)
    if query is None:
        return {"num_matches": 0, "hits": [], "keyword_counts": {}, "call": None, "page_size": PAGE_SIZE}
    found = library.inbox(wanted.inbox).search(
        query, as_of=end_of(wanted.as_of), limit=PAGE_SIZE, snippet_chars=SNIPPET_CHARS
    )
    return {
        "num_matches": found.num_matches,
        "page_size": PAGE_SIZE,
        "hits": [safe_row(hit_row(hit)) for hit in found.hits],
        "keyword_counts": found.keyword_counts,
        "call": _as_call(query) if wanted.q.strip() else None,
    }


def _stored(inbox: Inbox, wanted: MailQuery) -> StoredEmail:
    ref: str | int = int(wanted.ref) if wanted.ref.isdecimal() and len(wanted.ref) <= 9 else wanted.ref
    stored = inbox.read(ref, as_of=end_of(wanted.as_of))
    if stored is None:
        raise HTTPException(404, "no such mail on this day")
    return stored


def _html(library: Inboxes, wanted: MailQuery) -> str:
    html = _stored(library.inbox(wanted.inbox), wanted).email.html
    if not html:
        raise HTTPException(404, "no HTML is kept of this mail: import it with --html")
    return mail_html.page_of(html)


def mail_view(library: Inboxes, wanted: MailQuery) -> dict[str, Any]:
    """Return one mail as the page shows it; raises HTTPException 404."""
    inbox = library.inbox(wanted.inbox)
    stored = _stored(inbox, wanted)
    body = safe_body(stored.email)
    size = MORE_CHARS if wanted.start else BODY_CHARS
    part = body[wanted.start : wanted.start + size]
    if wanted.start:
        return {"number": stored.number, "body": part, "end": wanted.start + len(part), "body_chars": len(body)}
    place = place_in_script(body, wanted.quote)
    if place and place[1] > size:
        part = body[: min(len(body), place[1] + 2000)]
    row = email_row(stored)
    shown = {key: safe_line(row[key]) for key in ("from", "subject")}
    people = {key: [safe_line(person) for person in row[key]] for key in ("to", "cc")}
    attachments = [{**one, "name": safe_line(one["name"]), "text": ""} for one in row["attachments"]]
    return {
        **row,
        **shown,
        **people,
        "attachments": attachments,
        "body": part,
        "end": len(part),
        "body_chars": len(body),
        "quote": place,
        "forwards": forwards_in_script(stored.email),
        "has_html": bool(stored.email.html),
        "thread": list(inbox.thread(stored.number, as_of=end_of(wanted.as_of)))[:50],
    }


def _as_call(query: SearchQuery) -> dict[str, Any]:
    """Return the arguments of the tool call that finds the same."""
    given = {
        "keywords": list(query.keywords),
        "from_addr": query.from_addr,
        "to_addr": query.to_addr,
        "sent_after": query.sent_after and query.sent_after.isoformat(),
        "sent_before": query.sent_before and query.sent_before.isoformat(),
    }
    return {name: value for name, value in given.items() if value is not None}


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
