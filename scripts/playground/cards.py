"""An episode as events for the page: what is asked, every turn, how it ended. From a live episode or from a record.

| event | when | holds |
|---|---|---|
| `question` | at once | id, question, inbox, as_of, policy, is_labelled |
| `turn` | after each turn | number, text, seconds, num_tokens, calls: arguments, hits, opened mails, content |
| `ending` | at the end | stop_reason, answer, sources (each with its quote), unknown_sources, error, seconds |

All text is made safe to show; the page shows it as text only. Knows nothing of rewards.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from inbox_env.inbox import Inbox
from inbox_env.questions import Question
from inbox_env.trajectory import ToolResultRecord, Trajectory, Turn
from rewards.citations import supporting_quote
from scripts.episode_view import ending_line
from scripts.playground.mail_routes import mail_head
from scripts.playground.quotes import safe_body
from scripts.terminal import safe, safe_line

MAX_CONTENT_CHARS = 20_000
MAX_TEXT_CHARS = 4_000
_FOUND = re.compile(r"(\d+) found")


def question_event(question: Question, policy: str, *, is_labelled: bool) -> dict[str, Any]:
    """Return what is asked, without the answer."""
    return {
        "id": question.id,
        "question": safe(question.question),
        "inbox": question.inbox,
        "as_of": question.asked_on and question.asked_on.isoformat(),
        "policy": safe_line(policy),
        "is_labelled": is_labelled,
    }


def turn_card(turn: Turn, number: int, inbox: Inbox | None, as_of: datetime | None) -> dict[str, Any]:
    """Return one turn; without an inbox, mails are known by their Message-IDs only."""
    return {
        "number": number,
        "text": safe(turn.text)[:MAX_TEXT_CHARS],
        "seconds": turn.seconds,
        "num_tokens": turn.num_tokens,
        "calls": [_call(result, inbox, as_of) for result in turn.results],
    }


def ending_event(trajectory: Trajectory, inbox: Inbox | None, question: Question) -> dict[str, Any]:
    """Return how it ended; every source with the quote that supports the answer."""
    answer = trajectory.answer or ""
    return {
        "stop_reason": trajectory.stop_reason.value,
        "answer": None if trajectory.answer is None else safe(trajectory.answer),
        "line": ending_line(trajectory),
        "error": safe_line(trajectory.error),
        "sources": [_source(one, answer, inbox, question) for one in trajectory.sources],
        "unknown_sources": [safe_line(one, 200) for one in trajectory.unknown_sources],
        "num_turns": len(trajectory.turns),
        "num_tokens": sum(turn.num_tokens for turn in trajectory.turns),
        "seconds": trajectory.seconds,
    }


def mail_row(message_id: str, inbox: Inbox | None, as_of: datetime | None) -> dict[str, Any]:
    """Return what a list shows of a mail that is known by its Message-ID."""
    stored = inbox.read(message_id, as_of=as_of) if inbox else None
    return mail_head(stored) if stored else {"message_id": safe_line(message_id, 200), "number": None}


def safe_values(value: Any) -> Any:
    """Return what a model gave as arguments, every text of it without what a terminal or a page would obey."""
    if isinstance(value, str):
        return safe(value)
    if isinstance(value, dict):
        return {safe_line(name): safe_values(one) for name, one in value.items()}
    return [safe_values(one) for one in value] if isinstance(value, list) else value


def _call(result: ToolResultRecord, inbox: Inbox | None, as_of: datetime | None) -> dict[str, Any]:
    found = _FOUND.match(result.content) if result.name == "search_emails" and not result.is_error else None
    return {
        "name": safe_line(result.name, 80),
        "arguments": safe_values(result.arguments),
        "is_error": result.is_error or result.arguments is None,
        "content": safe(result.content)[:MAX_CONTENT_CHARS],
        "num_found": int(found[1]) if found else None,
        "hits": [mail_row(one, inbox, as_of) for one in result.listed],
        "opened": [mail_row(one, inbox, as_of) for one in result.opened],
    }


def _source(message_id: str, answer: str, inbox: Inbox | None, question: Question) -> dict[str, Any]:
    stored = inbox.read(message_id, as_of=question.as_of) if inbox else None
    if stored is None:
        return {"message_id": safe_line(message_id, 200), "number": None, "quote": ""}
    return mail_head(stored) | {"quote": supporting_quote(safe_body(stored.email), [answer], question.question)}
