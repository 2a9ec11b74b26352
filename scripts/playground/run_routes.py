"""Routes to look into runs: what there is, its numbers as they come, its episodes filtered, one of them in full.

Handlers read files in threads. Knows nothing of how a file is indexed or an episode drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from agent.token_records import TokenRecord, read_token_records, token_path
from inbox_env.errors import UsageError
from inbox_env.inbox import Inbox
from inbox_env.trajectory import Trajectory
from scripts.episode_view import FINAL_TOOL, call_line, ending_line
from scripts.playground.bodies import read_query
from scripts.playground.event_stream import EventStream
from scripts.playground.export_html import MAX_EXPORTED, export_page
from scripts.playground.mail_routes import mail_routes
from scripts.playground.replay import replay_events
from scripts.playground.run_curves import curve_names
from scripts.playground.run_facts import run_facts
from scripts.playground.run_index import Row
from scripts.playground.run_mail import section
from scripts.playground.run_query import (
    PAGE_SIZE,
    Filter,
    RowQuery,
    episode_item,
    group_items,
    matching,
    step_items,
)
from scripts.playground.run_source import Source
from scripts.terminal import safe

MAX_SAME = 200


class EpisodeQuery(BaseModel):
    """Which episode: a line of a file."""

    file: str = Field(max_length=500)
    line: int = Field(ge=1)


class SameQuery(BaseModel):
    """Which question."""

    question: str = Field(max_length=1000)


class NextQuery(Filter):
    """Which episode of what a filter leaves: `by` places after the one at `line` of `file`."""

    file: str = Field(max_length=500)
    line: int = Field(ge=1)
    by: int = Field(ge=-1, le=1)


class ExportQuery(Filter):
    """One episode, or without `file` what a filter leaves."""

    file: str = Field(default="", max_length=500)
    line: int = Field(default=0, ge=0)


class RunRoutes:
    """The routes; sources are known by their place in the list."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources

    def routes(self) -> list[Route]:
        """Return the routes."""
        one = "/api/runs/{source:int}"
        return [
            Route("/api/runs/start", self._threaded(self._start)),
            Route("/api/runs/same", self._threaded(self._same)),
            Route(f"{one}/facts", self._threaded(self._facts)),
            Route(f"{one}/rows", self._threaded(self._rows)),
            Route(f"{one}/next", self._threaded(self._next)),
            Route(f"{one}/episode", self._threaded(self._episode)),
            Route(f"{one}/group", self._threaded(self._group)),
            Route(f"{one}/tokens", self._threaded(self._tokens)),
            Route(f"{one}/export", self._export),
            Route(f"{one}/watch", self._watch, methods=["POST"]),
            *mail_routes(lambda request: self._source(request).mail, one),
        ]

    def _threaded(self, answer: Callable[[Request], dict[str, Any]]) -> Callable[[Request], Any]:
        async def handler(request: Request) -> Response:
            return JSONResponse(await run_in_threadpool(answer, request))

        return handler

    def _source(self, request: Request) -> Source:
        number: int = request.path_params["source"]
        if number >= len(self._sources):
            raise UsageError(84, "no such run", next_step="choose one of the list")
        return self._sources[number]

    def _start(self, _: Request) -> dict[str, Any]:
        return {"sources": [_source_item(source) for source in self._sources], "metrics": curve_names()}

    def _facts(self, request: Request) -> dict[str, Any]:
        source = self._source(request)
        source.refresh()
        return {"sets": source.sets(), **run_facts(source.path)}

    def _rows(self, request: Request) -> dict[str, Any]:
        source, wanted = self._source(request), read_query(request.query_params, RowQuery)
        source.refresh()
        rows, jumps = source.rows(), source.curves.jumps()
        left, facets = matching(rows, wanted, jumps)
        if wanted.level != "episodes":  # what was played once each is in no group and of no step
            left = [row for row in left if (row.group if wanted.level == "groups" else row.step) is not None]
        items: Sequence[Any] = left
        if wanted.level == "groups":
            items = group_items(left, rows)
        elif wanted.level == "steps":
            items = step_items(left, jumps)
        page = items[(wanted.page - 1) * PAGE_SIZE : wanted.page * PAGE_SIZE]
        return {
            "num_matches": len(items),
            "num_episodes": len(left),
            "num_all": len(rows),
            "page_size": PAGE_SIZE,
            "items": [episode_item(item) if isinstance(item, Row) else item for item in page],
            "facets": facets,
            "num_jumps": len(jumps),
            "notes": source.notes(),
        }

    def _next(self, request: Request) -> dict[str, Any]:
        source, wanted = self._source(request), read_query(request.query_params, NextQuery)
        source.row(wanted.file, wanted.line)
        left = chosen_rows(source, wanted)
        places = (place for place, row in enumerate(left) if (row.file, row.line) == (wanted.file, wanted.line))
        here = next(places, -1 if wanted.by > 0 else len(left))
        index = here + wanted.by
        item = episode_item(left[index]) if 0 <= index < len(left) else None
        return {"item": item, "index": index}

    def _episode(self, request: Request) -> dict[str, Any]:
        source = self._source(request)
        row = _chosen(source, request)
        trajectory = source.read(row)
        question, inbox = source.question(trajectory), _inbox(source, trajectory)
        return {
            "source": source.name,
            "item": episode_item(row),
            "events": replay_events(trajectory, question, inbox, source.ladder),
            "inbox": row.inbox if inbox else None,
            "note": "" if inbox else "The mail of this episode was not found: shown is what the trajectory recorded.",
            "group": [episode_item(one) for one in source.group(row)] if row.group is not None else [],
            "has_tokens": _record(source, row) is not None,
        }

    def _group(self, request: Request) -> dict[str, Any]:
        source = self._source(request)
        row = _chosen(source, request)
        members = source.group(row) if row.group is not None else [row]
        question = source.question(source.read(row))
        kept = {record.line for record in _records(source, row)}
        return {
            "source": source.name,
            "question": row.question,
            "answer": safe(question.answer or "") if question and question.is_labelled else None,
            "members": [_member(source, one, kept) for one in members],
        }

    def _tokens(self, request: Request) -> dict[str, Any]:
        source = self._source(request)
        record = _record(source, _chosen(source, request))
        if record is None:
            what, next_step = "no tokens were kept of this episode", "run.kept_token_groups keeps those of more groups"
            raise UsageError(85, what, next_step=next_step)
        return record.model_dump(mode="json") | {"tokens": [safe(token) for token in record.tokens]}

    def _same(self, request: Request) -> dict[str, Any]:
        wanted = read_query(request.query_params, SameQuery)
        for source in self._sources:
            source.refresh()
        found = [
            {**episode_item(row), "source": number, "source_name": source.name}
            for number, source in enumerate(self._sources)
            for row in source.rows()
            if row.question_id == wanted.question
        ]
        return {"episodes": found[:MAX_SAME], "num_all": len(found)}

    async def _export(self, request: Request) -> Response:
        source, wanted = self._source(request), read_query(request.query_params, ExportQuery)
        page = await run_in_threadpool(_exported, source, wanted)
        headers = {"Content-Disposition": 'attachment; filename="mailsleuth-episodes.html"'}
        return HTMLResponse(page, headers=headers)

    async def _watch(self, request: Request) -> Response:
        return EventStream(self._source(request).curves.watch())


def chosen_rows(source: Source, wanted: Filter) -> list[Row]:
    """Return the rows that a filter leaves."""
    source.refresh()
    return matching(source.rows(), wanted, source.curves.jumps())[0]


def _exported(source: Source, wanted: ExportQuery) -> str:
    rows = [source.row(wanted.file, wanted.line)] if wanted.file else chosen_rows(source, wanted)
    return export_page(source, rows[:MAX_EXPORTED], num_all=len(rows))


def _source_item(source: Source) -> dict[str, Any]:
    """Return what is known of a source before its episodes are read: only those of the one that is shown are."""
    steps = section(source.config, "grpo").get("steps")
    return {
        "name": source.name,
        "path": str(source.path),
        "num_steps": steps if isinstance(steps, int) else None,
        "has_facts": source.path.is_dir() and (source.path / "summary.json").is_file(),
        "has_curves": source.is_run,
    }


def _chosen(source: Source, request: Request) -> Row:
    wanted = read_query(request.query_params, EpisodeQuery)
    return source.row(wanted.file, wanted.line)


def _inbox(source: Source, trajectory: Trajectory) -> Inbox | None:
    return source.mail.inbox(trajectory.inbox) if source.mail.has(trajectory.inbox) else None


def _record(source: Source, row: Row) -> TokenRecord | None:
    return next((one for one in _records(source, row) if one.line == row.line), None)


def _records(source: Source, row: Row) -> Iterator[TokenRecord]:
    """Yield the tokens that were kept of a row's group."""
    if row.step is not None:
        path = token_path(source.folder, row.step)
        yield from (one for one in read_token_records(path) if one.question_id == row.question_id)


def _member(source: Source, row: Row, kept: Collection[int]) -> dict[str, Any]:
    """Return a rollout in brief, to stand beside its siblings."""
    trajectory = source.read(row)
    results = [result for turn in trajectory.turns for result in turn.results]
    calls: list[dict[str, Any]] = [
        {"text": call_line(result), "is_error": result.is_error or result.arguments is None}
        for result in results
        if result.name != FINAL_TOOL or result.is_error
    ]
    return {
        **episode_item(row),
        "calls": calls,
        "line_text": ending_line(trajectory),
        "parts": trajectory.reward_parts,
        "has_tokens": row.line in kept,
    }
