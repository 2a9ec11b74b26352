"""What can be looked into: the inboxes of one mailbox file, and the labelled questions about them.

Every request names its inbox, and nothing remembers which one was looked at last: two tabs cannot disturb each other.
Knows nothing of policies or of the page.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from inbox_env.errors import UsageError
from inbox_env.inbox import Inbox
from inbox_env.questions import Question
from inbox_env.store import EmailStore, InboxInfo

MAX_QUESTIONS_SHOWN = 500


class Library:
    """The inboxes of one mailbox file; a file that was written to meanwhile is opened anew."""

    def __init__(self, mailbox: Path, questions: Sequence[Question] = (), first: str | None = None) -> None:
        self.mailbox, self.first = mailbox, first
        self._store = EmailStore.open(mailbox)
        self._inboxes: dict[str, Inbox] = {}
        self._lock = threading.Lock()
        names = {info.name for info in self._store.inboxes()}
        self.gold = {question.id: question for question in questions if question.inbox in names}
        if first is not None:
            self._store.info(first)
        if questions and not self.gold:
            absent = ", ".join(dict.fromkeys(question.inbox for question in questions[:5]))
            raise UsageError(
                9, f"no mail for questions about: {absent}", where=str(mailbox), next_step="import it first"
            )

    def infos(self) -> list[InboxInfo]:
        """Return all inboxes, the one to begin with first."""
        return sorted(self._store.inboxes(), key=lambda info: (info.name != self.first, info.name))

    def inbox(self, name: str) -> Inbox:
        """Return one inbox; raises UsageError when there is none of this name."""
        with self._lock:
            if name not in self._inboxes or self._is_stale(name):
                self._inboxes[name] = self._opened(name)
            return self._inboxes[name]

    def question(self, identity: str) -> Question:
        """Return one labelled question; raises UsageError when there is none of this id."""
        if identity not in self.gold:
            raise UsageError(1, f"no question {identity!r}", next_step="choose another one")
        return self.gold[identity]

    def questions(self, inbox: str) -> list[Question]:
        """Return the first labelled questions about an inbox."""
        about = (question for question in self.gold.values() if question.inbox == inbox)
        return [question for question, _ in zip(about, range(MAX_QUESTIONS_SHOWN), strict=False)]

    def last_day(self, inbox: str) -> date | None:
        """Return the day of the newest mail: the "today" of somebody who asks this inbox now."""
        newest = self._store.info(inbox).last_date
        return newest.date() if newest else None

    def close(self) -> None:
        """Close the file."""
        self._store.close()

    def _opened(self, name: str) -> Inbox:
        if name in self._inboxes:  # it was built anew: what is known of the file is old
            self._store = EmailStore.open(self.mailbox)
        return Inbox(self._store, name)

    def _is_stale(self, name: str) -> bool:
        return self._store.revision(name) != self._store.info(name).revision


def inbox_row(info: InboxInfo, num_questions: int) -> dict[str, Any]:
    """Return what the page shows of an inbox."""
    return {
        "name": info.name,
        "owner": str(info.owner),
        "num_emails": info.num_emails,
        "first_day": info.first_date and info.first_date.date().isoformat(),
        "last_day": info.last_date and info.last_date.date().isoformat(),
        "num_questions": num_questions,
    }


def question_row(question: Question) -> dict[str, Any]:
    """Return what the page shows of a labelled question before it is played: not its answer."""
    return {
        "id": question.id,
        "inbox": question.inbox,
        "question": question.question,
        "kind": question.kind,
        "asked_on": question.asked_on and question.asked_on.isoformat(),
    }
