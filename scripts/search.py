"""Search an inbox by keywords, as the agent does.

All keywords must occur in a mail; "two words" in quotes are a phrase. Without keywords, the newest mails are listed.
How many were found is said after the hits; on standard error where the hits go into a pipe.
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, date, datetime, time
from pathlib import Path

from inbox_env.database import DOCTOR, QueryTooSlow
from inbox_env.errors import CorruptError, UsageError
from inbox_env.inbox import Inbox
from inbox_env.search.base import MAX_KEYWORD_CHARS, MAX_KEYWORDS, SearchQuery, SearchResult
from inbox_env.search.folding import words
from scripts.mail_view import hit_row, print_hits
from scripts.terminal import console

PAGE_SIZE = 10
_MAX_PAGES = 10_000_000  # more than the mails of any inbox


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("keywords", metavar="WORD", nargs="*", help="keyword, or a phrase in quotes")
    add_inbox_arguments(parser)
    parser.add_argument("--from", dest="from_addr", metavar="WHO", help="sender: an address or a name")
    parser.add_argument("--to", dest="to_addr", metavar="WHO", help="recipient: an address or a name")
    parser.add_argument("--after", type=parse_day, metavar="DAY", help="sent on this day or later (YYYY-MM-DD, UTC)")
    parser.add_argument("--before", type=parse_day, metavar="DAY", help="sent on this day or earlier")
    parser.add_argument("--newest", action="store_true", help="newest first instead of best match first")
    parser.add_argument("--page", type=int, default=1, metavar="N", help=f"page of {PAGE_SIZE} hits (default: 1)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def add_inbox_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what names an inbox, and the day it is looked at."""
    parser.add_argument("--mailbox", type=Path, required=True, help="mailbox file made by `mailsleuth import`")
    parser.add_argument("--inbox", required=True, help="name of the inbox in it; see `mailsleuth inboxes`")
    parser.add_argument("--as-of", type=parse_day, metavar="DAY", help="see only mail dated up to the end of this day")


def parse_day(text: str) -> date:
    """Return the day that `text` names as YYYY-MM-DD; raises argparse's error otherwise."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day like 2001-05-31") from None


def end_of(day: date | None) -> datetime | None:
    """Return the last instant of a UTC day; None stays None."""
    return None if day is None else datetime.combine(day, time.max, UTC)


def run(args: argparse.Namespace) -> int:
    """Print the hits and return the exit code."""
    query = _query(args)
    inbox = Inbox.open(args.mailbox, args.inbox)
    try:
        result = inbox.search(query, as_of=end_of(args.as_of), limit=PAGE_SIZE)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        # the query was checked before, so that what is of no use here is what the file holds
        what = "a mail in the mailbox is damaged"
        raise CorruptError(49, what, where=str(args.mailbox), next_step=DOCTOR) from error
    except QueryTooSlow:
        raise UsageError(1, "the search took too long", next_step="use rarer words, or --after and --before") from None
    finally:
        inbox.close()
    if args.json:
        print(json.dumps(_as_json(result, args.page)))
    else:
        print_hits(console(), result, page=args.page, page_size=PAGE_SIZE)
    return 0


def _query(args: argparse.Namespace) -> SearchQuery:
    keywords = tuple(args.keywords)
    if len(keywords) > MAX_KEYWORDS or any(len(keyword) > MAX_KEYWORD_CHARS for keyword in keywords):
        limits = f"at most {MAX_KEYWORDS} keywords of {MAX_KEYWORD_CHARS} characters"
        raise UsageError(2, "too many or too long keywords", next_step=limits)
    if not 1 <= args.page <= _MAX_PAGES:
        raise UsageError(3, f"no page {args.page}", where="--page", next_step="pages count from 1")
    _check_possible(args)
    return SearchQuery(
        keywords=keywords,
        from_addr=args.from_addr,
        to_addr=args.to_addr,
        sent_after=args.after,
        sent_before=args.before,
        order="newest" if args.newest else "relevance",
        page=args.page,
    )


def _check_possible(args: argparse.Namespace) -> None:
    """Raise UsageError for what no mail can match."""
    for what, text in (
        *(("keyword", word) for word in args.keywords),
        ("--from", args.from_addr),
        ("--to", args.to_addr),
    ):
        if text is not None and not words(text):
            raise UsageError(5, f"no letter or digit in the {what} {text!r}", next_step="search for words")
    ends = (("--before", args.before), ("--as-of", args.as_of))
    for name, end in ends:
        if args.after and end and args.after > end:
            raise UsageError(6, f"--after {args.after} is later than {name} {end}", next_step="no mail can match both")


def _as_json(result: SearchResult, page: int) -> dict[str, object]:
    return {
        "num_matches": result.num_matches,
        "page": page,
        "hits": [hit_row(hit) for hit in result.hits],
        "keyword_counts": result.keyword_counts,
    }
