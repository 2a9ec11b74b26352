"""An episode in words: a call as one line, an ending as one line; and its events drawn as lines for a terminal.

The events are those that the page draws (`playground/cards.py`, `playground/scoring.py`), of a live episode and of a
record alike. All text passes `terminal.safe`. Knows nothing of how a policy decides, nor of keys and screens.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.text import Text

from inbox_env.actions import StopReason
from inbox_env.trajectory import ToolResultRecord, Trajectory
from scripts.terminal import plural, safe, safe_line

MAX_TEXT_CHARS = 300
FEW_LINES = 12  # of what a tool gave, where the whole would hide the rest
FINAL_TOOL = "return_final_answer"

_ENDINGS = {
    StopReason.GAVE_UP: "I don't know",
    StopReason.MAX_TURNS: "no answer: out of turns",
    StopReason.MAX_TOKENS: "no answer: out of tokens",
    StopReason.INVALID_CALLS: "no answer: too many invalid calls",
    StopReason.DEADLINE: "no answer: out of time",
}
_TITLES = {"search_emails": "searched", "read_email": "opened", FINAL_TOOL: "answered"}
_LABEL = 10  # columns before what a label says
_CARD = 6


@dataclass(frozen=True, slots=True)
class Line:
    """A line to be printed: `text` wraps behind `indent` columns, which begin with `head`."""

    indent: int
    text: Text
    head: Text = field(default_factory=Text)

    def wrapped(self, console: Console, width: int) -> Iterator[Text]:
        """Yield the line in as many as it takes in `width` columns; a narrow terminal gets less indent."""
        least = self.head.cell_len + 1 if self.head else 0
        indent = min(self.indent, max(least, width // 5))
        parts = self.text.wrap(console, max(8, width - indent)) or [Text()]
        for number, part in enumerate(parts):
            head = self.head if number == 0 else Text()
            part.rstrip()
            yield Text.assemble(head, " " * (indent - head.cell_len), part)


class EpisodeView:
    """Prints the events of one episode as they come."""

    def __init__(self, console: Console, max_lines: int | None = FEW_LINES) -> None:
        self._console, self._max_lines = console, max_lines

    def add(self, name: str, data: dict[str, Any]) -> None:
        """Print one event."""
        for line in event_lines(name, data, self._max_lines):
            if self._console.is_terminal:
                for part in line.wrapped(self._console, self._console.width):
                    self._console.print(part)
            else:
                self._console.print(Text.assemble(line.head, " " * (line.indent - line.head.cell_len), line.text))


def seen_lines(card: dict[str, Any]) -> Iterator[Line]:
    """Yield a turn as the agent wrote and saw it: its words, each call as it was made, all of what came back."""
    for text in safe(card["text"]).splitlines():
        yield Line(4, Text(safe_line(text), "italic"))
    for call in card["calls"]:
        made = "no valid call" if call["arguments"] is None else _call_text(call["name"], call["arguments"])
        yield Line(4, Text(made, "cyan"))
        for text in safe(call["content"]).splitlines():
            yield Line(_CARD, Text(safe_line(text), "dim"))


def event_lines(name: str, data: dict[str, Any], max_lines: int | None = None) -> Iterator[Line]:
    """Return the lines of one event; `max_lines` bounds what is shown of a tool's result. Unknown events have none."""
    if name == "turn":
        return _turn(data, max_lines)
    draw: dict[str, Callable[[dict[str, Any]], Iterator[Line]]] = {
        "question": _question,
        "ending": _ending,
        "failed": _failed,
        "score": _score,
        "reward": _reward,
    }
    return draw[name](data) if name in draw else iter(())


def call_line(result: ToolResultRecord) -> str:
    """Return a call as one safe line: `search_emails(keywords=["budget", "2001"])`."""
    if result.arguments is None:
        return "no valid call"
    return _call_text(result.name, result.arguments)


def ending_line(trajectory: Trajectory) -> str:
    """Return the answer, or why there is none."""
    if trajectory.stop_reason is StopReason.ANSWERED:
        return safe_line(trajectory.answer or "", MAX_TEXT_CHARS)
    if trajectory.stop_reason is StopReason.ERROR:
        return f"no answer: {safe_line(trajectory.error, MAX_TEXT_CHARS)}"
    return _ENDINGS[trajectory.stop_reason]


def card_title(call: dict[str, Any]) -> str:
    """Return what a call of a turn's card did, on one safe line: `searched "budget" "2001"`."""
    given = call["arguments"]
    if call["is_error"] or given is None or call["name"] not in _TITLES:
        return "no valid call" if given is None else f"refused {_call_text(call['name'], given)}"
    title = _TITLES[call["name"]]
    if call["name"] == "search_emails":
        words = given.get("keywords")
        shown = [_value(word) for word in words] if isinstance(words, list) else []
        bounds = [f"{key}={_value(value)}" for key, value in given.items() if key != "keywords" and value is not None]
        return safe_line(" ".join([title, *shown, *bounds]), MAX_TEXT_CHARS)
    if call["name"] == "read_email":
        page = f" page {given['page']}" if given.get("page") not in (None, 1) else ""
        number = next((mail["number"] for mail in call["opened"]), None)
        return safe_line(f"{title} mail {given.get('id') if number is None else number}{page}", MAX_TEXT_CHARS)
    return title


def _question(data: dict[str, Any]) -> Iterator[Line]:
    yield _labelled("question", Text(safe_line(data["question"])))
    facts = [data["policy"], data["as_of"] and f"as of {data['as_of']}", data["is_labelled"] and "labelled"]
    yield Line(_LABEL, Text(safe_line(", ".join(fact for fact in facts if fact)), "dim"))


def _turn(card: dict[str, Any], max_lines: int | None) -> Iterator[Line]:
    head = Text(f"{card['number']:>2}", "bold")
    cost = f"{card['seconds']:.2f} s" + (f", {plural(card['num_tokens'], 'token')}" if card["num_tokens"] else "")
    if card["text"].strip() and not any(call["arguments"] is None for call in card["calls"]):
        yield Line(4, Text(safe_line(card["text"], MAX_TEXT_CHARS), "italic"), head)
        head = Text()
    for call in card["calls"]:
        num_found = "" if call["num_found"] is None else f"  {call['num_found']:,} found"
        style = "red" if call["is_error"] else "cyan"
        yield Line(4, Text.assemble((card_title(call), style), num_found, (f"  {cost}" if cost else "", "dim")), head)
        head, cost = Text(), ""
        yield from _result(call, max_lines)
    if not card["calls"] and not card["text"].strip():
        yield Line(4, Text("said nothing", "dim"), head)


def _result(call: dict[str, Any], max_lines: int | None) -> Iterator[Line]:
    if call["name"] == FINAL_TOOL and not call["is_error"]:
        return
    hits = [mail for mail in call["hits"] if mail["number"] is not None]
    if hits:
        yield from (Line(_CARD, Text(safe_line(f"{mail['number']} {_mail(mail)}", MAX_TEXT_CHARS))) for mail in hits)
        return
    lines = [line for line in safe(call["content"]).splitlines() if line.strip()]
    shown = lines if max_lines is None else lines[:max_lines]
    for line in shown:
        yield Line(_CARD, Text(safe_line(line), "red" if call["is_error"] else "dim"))
    if len(lines) > len(shown):
        yield Line(_CARD, Text(f"... {len(lines) - len(shown)} more lines", "dim"))


def _ending(data: dict[str, Any]) -> Iterator[Line]:
    yield _labelled("answer", Text(safe_line(data["line"]), "bold green" if data["answer"] else "bold"))
    for source in data["sources"]:
        yield from _source(source)
    for unknown in data["unknown_sources"]:
        yield Line(_LABEL, Text(f"cites {safe_line(unknown, 80)}, which is no mail of this inbox", "red"))
    tokens = f", {plural(data['num_tokens'], 'token')}" if data["num_tokens"] else ""
    yield Line(_LABEL, Text(f"{data['num_turns']} turns{tokens}, {data['seconds']:.1f} s", "dim"))


def _failed(data: dict[str, Any]) -> Iterator[Line]:
    yield _labelled("failed", Text(safe_line(data["error"]), "red"))


def _score(data: dict[str, Any]) -> Iterator[Line]:
    gold = "nothing in this inbox answers it" if data["answer"] is None else safe_line(data["answer"])
    yield _labelled("gold", Text(gold))
    for mail in data["gold"]:
        yield from _source(mail)
    if data["gold"]:
        steps = (("listed", data["found"]), ("opened", data["read"]), ("cited", data["cited"]))
        yield Line(_LABEL, Text(", ".join(name if is_done else f"not {name}" for name, is_done in steps)))
    yield from _reward(data)
    for search in data["searches"]:
        yield Line(_LABEL, Text(safe_line(_search_line(search)), "dim"))


def _reward(data: dict[str, Any]) -> Iterator[Line]:
    if data["reward"] is None:
        yield _labelled("reward", Text(f"none: {safe_line(data['reason'], MAX_TEXT_CHARS)}"))
        return
    parts = ", ".join(f"{safe_line(name, 40)} {value:+.2f}" for name, value in data["parts"].items())
    yield _labelled("reward", Text.assemble((f"{data['reward']:+.2f}", "bold"), f"  = {parts}" if parts else ""))


def _search_line(search: dict[str, Any]) -> str:
    """Return where the right mails stood in one search, and how many mails each keyword has alone."""
    if search["num_found"] is None:
        return f"turn {search['turn']}: the search took too long"
    places = [f"at rank {one['rank']}" if one["rank"] else "not among them" for one in search["ranks"]]
    where = f"; the right mail {', '.join(places)}" if places else ""
    alone = [
        f"{_value(one['keyword'])} {one['num_found']:,}" + ("" if all(one["in_gold"]) else " (not in the right mail)")
        for one in search["keywords"]
    ]
    words = f"; alone: {', '.join(alone)}" if alone else ""
    return f"turn {search['turn']}: {search['num_found']:,} found{where}{words}"


def _source(mail: dict[str, Any]) -> Iterator[Line]:
    if mail["number"] is None:
        yield Line(_LABEL, Text(f"mail {safe_line(mail['message_id'], 80)}"))
        return
    yield Line(_LABEL, Text(f"mail {mail['number']}: {_mail(mail)}"))
    if mail.get("quote"):
        yield Line(_LABEL + 2, Text(f"“{safe_line(mail['quote'], MAX_TEXT_CHARS)}”", "italic"))


def _mail(mail: dict[str, Any]) -> str:
    sent = (mail["date"] or "undated")[:10]
    return safe_line(f"{sent} {mail['from']}: {mail['subject'] or 'no subject'}", MAX_TEXT_CHARS)


def _labelled(label: str, text: Text) -> Line:
    return Line(_LABEL, text, Text(label, "bold"))


def _call_text(name: str, given: dict[str, Any]) -> str:
    arguments = ", ".join(f"{key}={_value(value)}" for key, value in given.items())
    return safe_line(f"{name}({arguments})", MAX_TEXT_CHARS)


def _value(value: Any) -> str:
    return json.dumps(value.strip() if isinstance(value, str) else value, ensure_ascii=False, default=str)
