"""Toolset: what a chat model is offered in an inbox (prompt and tools) and what carries its calls out.

`own` is this project's; `arte` has the names, arguments and results of ART-E's agent, so that figures published for
it can be set beside ours. Knows nothing of how a model is reached.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.arena import MakeTools
from inbox_env.actions import FinalAnswer, ToolCall, ToolResult
from inbox_env.database import QueryTooSlow
from inbox_env.inbox import Inbox
from inbox_env.search.base import MAX_KEYWORD_CHARS, MAX_KEYWORDS, SearchQuery
from inbox_env.tools import tool_schemas

MAX_HITS = 10
SNIPPET_CHARS = 160
UNKNOWN = "I don't know"


@dataclass(frozen=True, slots=True)
class Toolset:
    """`make_tools` None: the environment's own."""

    name: str
    prompt: str
    schemas: Sequence[dict[str, Any]]
    make_tools: MakeTools | None = None


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SearchArguments(_Arguments):
    """Search the inbox; a mail is found when it holds every keyword. The newest come first."""

    keywords: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=MAX_KEYWORD_CHARS)]], Field(max_length=MAX_KEYWORDS)
    ] = Field(description="words that must all occur in the subject or the body")
    from_addr: str | None = Field(default=None, description="only mail from this address")
    to_addr: str | None = Field(default=None, description="only mail to this address (To, Cc or Bcc)")
    sent_after: date | None = Field(default=None, description="only mail of this day (YYYY-MM-DD) or later")
    sent_before: date | None = Field(default=None, description="only mail before this day (YYYY-MM-DD)")
    max_results: int = Field(default=MAX_HITS, ge=1, le=MAX_HITS, description="how many to list, 10 at most")


class ReadArguments(_Arguments):
    """Read one mail whole."""

    message_id: str = Field(description="the message_id that a search listed")


class AnswerArguments(_Arguments):
    """Give the final answer and end."""

    answer: str = Field(min_length=1, description=f'the answer, or "{UNKNOWN}" when it was not found')
    sources: list[str] = Field(description="the message_ids of the mails that the answer comes from")


_FORMS: Mapping[str, type[_Arguments]] = {
    "search_emails": SearchArguments,
    "read_email": ReadArguments,
    "return_final_answer": AnswerArguments,
}


class ArteTools:
    """ART-E's three tools over one inbox: keywords all occur, newest first, ten hits, results in JSON.

    As there, the day of the question bounds nothing: later mail is found. Unlike there, no other inbox is reached,
    and a wrong argument is an error result.
    """

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def execute(self, call: ToolCall) -> ToolResult | FinalAnswer:
        """Return what the call gave; a wrong call gives an error result."""
        form = _FORMS.get(call.name)
        if form is None:
            return ToolResult(call.name, f"error: tool: one of {', '.join(_FORMS)}", is_error=True)
        try:
            arguments = form.model_validate(call.arguments)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "arguments"
            return ToolResult(call.name, f"error: {where}: {first['msg']}", is_error=True)
        if isinstance(arguments, SearchArguments):
            return self._search(arguments)
        if isinstance(arguments, ReadArguments):
            return self._read(arguments.message_id)
        assert isinstance(arguments, AnswerArguments)
        return self._answer(arguments)

    def _search(self, wanted: SearchArguments) -> ToolResult:
        if not wanted.keywords:
            return ToolResult("search_emails", "error: keywords: give at least one", is_error=True)
        last_day = wanted.sent_before - timedelta(days=1) if wanted.sent_before else None  # the day itself is left out
        query = SearchQuery(
            tuple(wanted.keywords), wanted.from_addr, wanted.to_addr, wanted.sent_after, last_day, "newest"
        )
        try:
            found = self._inbox.search(query, as_of=None, limit=wanted.max_results, snippet_chars=SNIPPET_CHARS)
        except QueryTooSlow:
            return ToolResult("search_emails", "error: keywords: too broad, use rarer words", is_error=True)
        rows = [{"message_id": hit.message_id, "snippet": hit.snippet or hit.subject} for hit in found.hits]
        return ToolResult("search_emails", _json(rows), listed=tuple(hit.message_id for hit in found.hits))

    def _read(self, message_id: str) -> ToolResult:
        stored = self._inbox.read(message_id, as_of=None)
        if stored is None or stored.email.message_id != message_id:
            return ToolResult("read_email", "error: message_id: no such email", is_error=True)
        email = stored.email
        row = {
            "message_id": email.message_id,
            "date": None if email.date is None else f"{email.date:%Y-%m-%d %H:%M:%S}",
            "subject": email.subject,
            "from_address": email.sender.email,
            "to_addresses": [person.email for person in email.to],
            "cc_addresses": [person.email for person in email.cc],
            "bcc_addresses": [person.email for person in email.bcc],
            "body": email.body,
        }
        return ToolResult("read_email", _json(row), opened=(email.message_id,))

    def _answer(self, final: AnswerArguments) -> FinalAnswer:
        found = {ref: self._inbox.read(ref, as_of=None) for ref in final.sources}
        known = dict.fromkeys(stored.email.message_id for stored in found.values() if stored is not None)
        unknown = tuple(ref for ref, stored in found.items() if stored is None)
        said = " ".join(final.answer.replace("\u2019", "'").split()).rstrip(".")
        return FinalAnswer(None if said.casefold() == UNKNOWN.casefold() else final.answer, tuple(known), unknown)


def own_toolset(prompt: str = "default") -> Toolset:
    """Return this project's tools under its prompt for chat models, or another."""
    return Toolset("own", prompt, tool_schemas())


def arte_toolset() -> Toolset:
    """Return ART-E's tools under a prompt that says what its prompt says."""
    schemas = [_schema(name, form) for name, form in _FORMS.items()]
    return Toolset("arte", "arte", schemas, ArteTools)


def _schema(name: str, form: type[_Arguments]) -> dict[str, Any]:
    parameters = form.model_json_schema()
    description = parameters.pop("description", "")
    parameters.pop("title", None)
    for one in parameters["properties"].values():
        one.pop("title", None)
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
