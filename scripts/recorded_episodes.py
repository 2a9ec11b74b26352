"""Episodes of a trajectory file as the events that a live episode would have told: for replays.

The file is read episode by episode, however large it is. Knows nothing of how events are shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from inbox_env.actions import StopReason
from inbox_env.errors import CorruptError, MailsleuthError, UsageError
from inbox_env.inbox import Inbox
from inbox_env.questions import Question
from inbox_env.store import EmailStore
from inbox_env.trajectory import Trajectory
from rewards.ladder import Mode
from scripts.playground.cards import ending_event, question_event, turn_card
from scripts.playground.scoring import score_event
from scripts.unlabelled import unlabelled

Event = tuple[str, dict[str, Any]]


class TrajectoryFile:
    """The episodes of a file by their place in it; of question `identity` alone where that is given."""

    def __init__(self, path: Path, identity: str | None = None) -> None:
        self.path = path
        self._places: list[tuple[int, int]] = []  # line and offset
        with path.open("rb") as file:
            offset = 0
            for number, line in enumerate(file, 1):
                if line.strip():
                    self._places.append((number, offset))
                offset += len(line)
        if identity is not None:
            self._places = [self._places[i] for i in range(len(self._places)) if self[i].question_id == identity]
        if not self._places:
            what = "no episode here" if identity is None else f"no episode of question {identity} here"
            raise UsageError(5, what, where=str(path), next_step="give a file that `play --save` or `bench` wrote")

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Trajectory:
        """Return one episode; raises CorruptError that names its line."""
        number, offset = self._places[index]
        with self.path.open("rb") as file:
            file.seek(offset)
            line = file.readline()
        try:
            return Trajectory.model_validate_json(line)
        except ValidationError as error:
            where = f"{self.path}:{number}"
            raise CorruptError(5, "this line is no episode", where=where, next_step="give a trajectory file") from error


class Record:
    """What episodes are shown with: the mailbox, where it is given, and the labelled questions."""

    def __init__(self, store: EmailStore | None, gold: Mapping[str, Question], mode: Mode) -> None:
        self._store, self._gold, self._mode = store, gold, mode

    def events(self, played: Trajectory) -> list[Event]:
        """Return the events of one episode; without its inbox, mails are known by their Message-IDs only."""
        label = self._gold.get(played.question_id)
        if label is not None and (label.inbox, label.question) != (played.inbox, played.question):
            label = None  # another question of the same name
        question = label or unlabelled(played.question_id, played.question, played.inbox, played.asked_on)
        inbox = self._inbox(played.inbox)
        events: list[Event] = [("question", question_event(question, played.policy, is_labelled=label is not None))]
        for number, turn in enumerate(played.turns, 1):
            events.append(("turn", turn_card(turn, number, inbox, question.as_of)))
        events.append(("ending", ending_event(played, inbox, question)))
        if label is not None and inbox is not None and played.stop_reason is not StopReason.ERROR:
            events.append(("score", score_event(played, label, inbox, self._mode)))
        elif played.reward is not None:
            events.append(("reward", {"reward": played.reward, "parts": played.reward_parts}))
        return events

    def _inbox(self, name: str) -> Inbox | None:
        try:
            return Inbox(self._store, name) if self._store else None
        except MailsleuthError:
            return None
