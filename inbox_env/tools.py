"""The three tools: search_emails, read_email and return_final_answer, as plain functions.

The policy sees their schemas; the inbox and the as-of date are bound outside of them, in a `Toolbox`. A mistake
of the policy becomes an error result that names the argument and the expected form. Knows nothing of turns.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Annotated, Any, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, create_model

from inbox_env.actions import FinalAnswer, ToolCall, ToolResult
from inbox_env.database import QueryTooSlow
from inbox_env.inbox import Inbox
from inbox_env.mail_parts import mail_parts
from inbox_env.rendering import (
    ResultStyle,
    num_body_chars,
    num_hits_shown,
    render_headers,
    render_page,
    render_search,
    render_whole_lists,
    split_body,
)
from inbox_env.search.base import MAX_KEYWORD_CHARS, MAX_KEYWORDS, Match, Order, SearchQuery
from inbox_env.store import StoredEmail

MAX_SOURCES = 16
MAX_ANSWER_CHARS = 2000
MAX_ADDRESS_CHARS = 320
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_NO_SUCH_EMAIL = "no such email"


def _only_iso_day(value: Any) -> Any:
    if value is not None and not (isinstance(value, str) and _DAY.fullmatch(value.strip())):
        raise ValueError("not YYYY-MM-DD")
    return value.strip() if isinstance(value, str) else value


def _no_flag(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("not a number")
    return value


Keyword = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_KEYWORD_CHARS)]
Keywords = Annotated[list[Keyword], Field(max_length=MAX_KEYWORDS)]
Person = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_ADDRESS_CHARS)]
Day = Annotated[date, BeforeValidator(_only_iso_day)]
Page = Annotated[int, Field(ge=1, le=100_000), BeforeValidator(_no_flag)]
EmailId = Annotated[int | str, Field(union_mode="left_to_right"), BeforeValidator(_no_flag)]
Answer = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_ANSWER_CHARS)]
Sources = Annotated[list[EmailId], Field(max_length=MAX_SOURCES)]


class ArgumentError(Exception):
    """A call that cannot be carried out: which argument, and the form it should have."""

    def __init__(self, argument: str, expected: str) -> None:
        super().__init__(f"error: {argument}: {expected}")


@dataclass(frozen=True, slots=True)
class Toolbox:
    """The tools bound to one inbox as it was at `as_of` (None: all of it)."""

    inbox: Inbox
    as_of: datetime | None
    style: ResultStyle
    match: Match = "all"

    def execute(self, call: ToolCall) -> ToolResult | FinalAnswer:
        """Return what the call gave; a wrong call gives an error result, never an exception."""
        try:
            tool = _tools().get(call.name)
            if tool is None:
                raise ArgumentError("tool", "one of " + ", ".join(_tools()))
            return tool(self, **_checked(tool, call.arguments))
        except ArgumentError as error:
            return ToolResult(call.name, str(error)[: self.style.result_chars], is_error=True)
        except QueryTooSlow:
            return ToolResult(call.name, "error: keywords: too broad, use rarer words", is_error=True)

    def find(self, ref: int | str) -> StoredEmail | None:
        """Return the visible mail with this short id or Message-ID, or None."""
        if isinstance(ref, str) and ref.strip().isdecimal() and len(ref.strip()) <= 9:
            ref = int(ref.strip())
        return self.inbox.read(ref.strip() if isinstance(ref, str) else ref, as_of=self.as_of)


def search_emails(
    box: Toolbox,
    /,
    keywords: Keywords,
    from_addr: Person | None = None,
    to_addr: Person | None = None,
    sent_after: Day | None = None,
    sent_before: Day | None = None,
    order: Order = "relevance",
    page: Page = 1,
) -> ToolResult:
    """Find emails that contain every keyword in subject, body or people.

    keywords: a list of 1 to 16 words or phrases, each at most 128 characters
    from_addr: the sender's address or name
    to_addr: a recipient's address or name
    sent_after: the first day, as YYYY-MM-DD
    sent_before: the last day, as YYYY-MM-DD
    order: "relevance" or "newest"
    page: a page number from 1
    """
    if not keywords and all(bound is None for bound in (from_addr, to_addr, sent_after, sent_before)):
        raise ArgumentError("keywords", _expected(search_emails, "keywords"))
    query = SearchQuery(tuple(keywords), from_addr, to_addr, sent_after, sent_before, order, page, box.match)
    limit = num_hits_shown(box.style)
    result = box.inbox.search(query, as_of=box.as_of, limit=limit, snippet_chars=box.style.snippet_chars)
    num_pages = max(1, -(-result.num_matches // limit))
    if page > num_pages:
        raise ArgumentError("page", f"a page number from 1 to {num_pages}")
    content = render_search(result, page, num_pages, box.style.result_chars)
    return ToolResult("search_emails", content, listed=tuple(hit.message_id for hit in result.hits))


def read_email(box: Toolbox, /, id: EmailId, page: Page = 1) -> ToolResult:
    """Read one email.

    id: the number of an email in the search results, or its Message-ID
    page: a page number from 1
    """
    stored = box.find(id)
    if stored is None:
        raise ArgumentError("id", _NO_SUCH_EMAIL)
    thread = box.inbox.thread(stored.number, as_of=box.as_of) if box.style.show_thread else ()
    head = render_headers(stored.email, box.style, box.inbox.owner, thread)
    page_chars = num_body_chars(head, box.style)
    lists = render_whole_lists(stored.email, box.style)
    parts = [*mail_parts(stored.email), *([lists] if lists else [])]
    pages = [shown for part in parts for shown in split_body(part, page_chars)]
    if page > len(pages):
        raise ArgumentError("page", f"a page number from 1 to {len(pages)}")
    content = render_page(head, pages, page)
    return ToolResult("read_email", content, opened=(stored.email.message_id,))


def return_final_answer(box: Toolbox, /, answer: Answer | None, sources: Sources) -> FinalAnswer:
    """Give the answer and end.

    answer: the answer as a short text, or null when you do not know
    sources: a list of at most 16 ids of the emails that hold the answer
    """
    found = {ref: box.find(ref) for ref in sources}
    known = (stored.email.message_id for stored in found.values() if stored is not None)
    unknown = tuple(str(ref) for ref, stored in found.items() if stored is None)
    return FinalAnswer(answer, tuple(dict.fromkeys(known)), unknown)


def tool_schemas() -> list[dict[str, Any]]:
    """Return the three tools as JSON schemas in OpenAI's function form."""
    return [_schema(tool) for tool in _tools().values()]


@cache
def _tools() -> dict[str, Callable[..., ToolResult | FinalAnswer]]:
    return {tool.__name__: tool for tool in (search_emails, read_email, return_final_answer)}


def _schema(tool: Callable[..., Any]) -> dict[str, Any]:
    parameters = _without_titles(_arguments_model(tool).model_json_schema())
    for name, form in parameters["properties"].items():
        form["description"] = _expected(tool, name)
    function = {"name": tool.__name__, "description": _summary(tool), "parameters": parameters}
    return {"type": "function", "function": function}


def _without_titles(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {k: _without_titles(v) for k, v in schema.items() if not (k == "title" and isinstance(v, str))}
    return [_without_titles(item) for item in schema] if isinstance(schema, list) else schema


@cache
def _arguments_model(tool: Callable[..., Any]) -> type[BaseModel]:
    hints = get_type_hints(tool, include_extras=True)
    parameters = list(inspect.signature(tool).parameters.values())[1:]
    fields: dict[str, Any] = {
        p.name: (hints[p.name], ... if p.default is inspect.Parameter.empty else p.default) for p in parameters
    }
    config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)
    return create_model(tool.__name__, __config__=config, **fields)


def _checked(tool: Callable[..., Any], arguments: dict[str, Any]) -> dict[str, Any]:
    model = _arguments_model(tool)
    try:
        checked = model.model_validate(arguments)
    except ValidationError as error:
        name = str(next(iter(error.errors()[0]["loc"]), "arguments"))
        known = name in model.model_fields
        expected = _expected(tool, name) if known else f"not an argument of {tool.__name__}"
        raise ArgumentError(name, expected) from error
    return {name: getattr(checked, name) for name in model.model_fields}


def _summary(tool: Callable[..., Any]) -> str:
    return inspect.cleandoc(tool.__doc__ or "").splitlines()[0]


def _expected(tool: Callable[..., Any], argument: str) -> str:
    """Return the form of one argument, from the tool's docstring."""
    lines = inspect.cleandoc(tool.__doc__ or "").splitlines()
    forms = dict(line.split(": ", 1) for line in lines if ": " in line)
    return forms[argument]
