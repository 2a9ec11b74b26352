"""Recorded episodes in the terminal: step by step with keys, or all of them as text where nobody can press a key.

Draws the same events as a live episode. Knows nothing of where episodes come from.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.control import Control
from rich.text import Text

from inbox_env.questions import read_questions
from inbox_env.store import EmailStore
from rewards.ladder import Mode
from scripts.episode_view import FINAL_TOOL, EpisodeView, Line, event_lines, seen_lines
from scripts.recorded_episodes import Event, Record, TrajectoryFile
from scripts.terminal import console, safe_line

if TYPE_CHECKING:
    from scripts.terminal_keys import Screen

HELP = "n/p or arrows: step   up/down: scroll   N/P: episode   v: as it was seen   q: quit"
SHORT_HELP = "n p step  N P episode  v  q quit"
_LOOK_SECONDS = 0.3  # after which the size of the window is looked at again
_MAX_HEAD_LINES = 4


def replay_in_terminal(
    path: Path,
    *,
    mailbox: Path | None = None,
    questions: Path | None = None,
    identity: str | None = None,
    mode: Mode = "answer",
) -> None:
    """Show the episodes of a trajectory file (of question `identity` alone); raises MailsleuthError or OSError.

    With `mailbox` mails are named and quoted, with `questions` the episodes about them are scored.
    """
    episodes = TrajectoryFile(path, identity)
    gold = {question.id: question for question in read_questions(questions)} if questions else {}
    store = EmailStore.open(mailbox) if mailbox else None
    try:
        _show(Replay(episodes, Record(store, gold, mode)), console())
    finally:
        if store is not None:
            store.close()


class Replay:
    """Where somebody is in a file of episodes: `episode` and `step` (the question's first), `top` line shown of it.

    `is_raw` shows turns as the agent saw them.
    """

    def __init__(self, episodes: TrajectoryFile, record: Record) -> None:
        self.episodes, self._record = episodes, record
        self.episode = self.step = self.top = 0
        self.is_raw = False
        self.steps = _steps(self.load(0))

    def load(self, episode: int) -> list[Event]:
        """Return the events of one episode."""
        return self._record.events(self.episodes[episode])

    def press(self, key: str) -> bool:
        """Do what a key says; returns False when it ends the replay."""
        if key in ("q", "Q", "escape", "end of input"):
            return False
        steps = {"n": 1, "right": 1, "space": 1, "enter": 1, "l": 1, "p": -1, "left": -1, "backspace": -1, "h": -1}
        lines = {"up": -1, "k": -1, "down": 1, "j": 1, "page up": -10, "page down": 10}
        if key in steps:
            self.go(self.episode, self.step + steps[key])
        elif key in ("N", "]", "P", "["):
            self.go(self.episode + (1 if key in "N]" else -1), 0)
        elif key in ("g", "home"):
            self.go(self.episode, 0)
        elif key in ("G", "end"):
            self.go(self.episode, len(self.steps) - 1)
        elif key in lines:
            self.top = max(0, self.top + lines[key])
        elif key == "v":
            self.is_raw, self.top = not self.is_raw, 0
        return True

    def go(self, episode: int, step: int) -> None:
        """Go to a step; past the last one stands the next episode's first, before the first the last one of another."""
        if step >= len(self.steps) and episode == self.episode < len(self.episodes) - 1:
            episode, step = episode + 1, 0
        goes_back = step < 0 and episode == self.episode > 0
        episode = max(0, min(episode - goes_back, len(self.episodes) - 1))
        if episode != self.episode:
            self.episode, self.steps = episode, _steps(self.load(episode))
        self.step = len(self.steps) - 1 if goes_back else max(0, min(step, len(self.steps) - 1))
        self.top = 0

    def frame(self, console: Console, width: int, height: int) -> list[Text]:
        """Return exactly `height` lines of `width` columns: question, this step, and which keys there are."""
        head = self._head(console, width)
        body = [part for line in self._lines() for part in line.wrapped(console, width)]
        room = max(1, height - len(head) - 1)
        self.top = max(0, min(self.top, len(body) - room))
        shown = body[self.top : self.top + room]
        more = len(body) - self.top - len(shown)
        lines = [*head, *shown, *[Text()] * (room - len(shown))][: height - 1]
        return [_fitted(line, width) for line in [*lines, self._foot(width, more)]]

    def _lines(self) -> Iterator[Line]:
        for name, data in self.steps[self.step]:
            yield from seen_lines(data) if self.is_raw and name == "turn" else event_lines(name, data)

    def _head(self, console: Console, width: int) -> list[Text]:
        question = str(self.steps[0][0][1]["question"])
        lines = [] if self.step == 0 else list(Text(safe_line(question), "bold").wrap(console, width))[:_MAX_HEAD_LINES]
        where = f"episode {self.episode + 1:,} of {len(self.episodes):,}, step {self.step + 1} of {len(self.steps)}"
        return [Text(where, "dim"), *lines, Text()]

    def _foot(self, width: int, num_more: int) -> Text:
        more = f"{num_more} more lines   " if num_more else ""
        text = next(
            (one for one in (more + HELP, HELP, more + SHORT_HELP, SHORT_HELP) if len(one) <= width), SHORT_HELP
        )
        return Text(text, "reverse")


def _steps(events: list[Event]) -> list[list[Event]]:
    """Return what is shown at once: each event by itself, but the turn that only answers with the ending."""
    steps: list[list[Event]] = []
    for name, data in events:
        if name == "ending" and steps and _only_answers(*steps[-1][-1]):
            steps[-1].append((name, data))
        else:
            steps.append([(name, data)])
    return steps


def _only_answers(name: str, data: dict[str, Any]) -> bool:
    return name == "turn" and [call["name"] for call in data["calls"]] == [FINAL_TOOL]


def _show(replay: Replay, out: Console) -> None:
    if out.is_terminal and not out.is_dumb_terminal and sys.stdin.isatty() and find_spec("termios"):
        from scripts.terminal_keys import whole_screen

        with whole_screen(sys.stdin.fileno(), out) as screen:
            _step_through(replay, out, screen)
        return
    for episode in range(len(replay.episodes)):
        view = EpisodeView(out)
        for name, data in replay.load(episode):
            view.add(name, data)
        out.print()


def _step_through(replay: Replay, out: Console, screen: Screen) -> None:
    """Draw what the keys ask for, and again when the window has another size or was away."""
    size = out.size
    is_going = True
    while is_going:
        key = None if screen.is_fresh else screen.keys.next(_LOOK_SECONDS)
        if key is None and size == out.size and not screen.is_fresh:
            continue
        is_going = key is None or replay.press(key)
        size, screen.is_fresh = out.size, False
        if is_going:
            out.control(Control.home())
            out.print(Text("\n").join(replay.frame(out, size.width, size.height)), end="", no_wrap=True, crop=False)


def _fitted(line: Text, width: int) -> Text:
    line = line.copy()
    line.truncate(width, overflow="crop", pad=True)
    return line
