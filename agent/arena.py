"""Arena: open inboxes with the questions asked of them; it makes the environment of an episode.

Used by training and evaluation alike. Knows nothing of policies, rewards or where the mail came from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from inbox_env.env import EnvLimits, InboxEnv, Tools
from inbox_env.errors import UsageError
from inbox_env.inbox import Inbox
from inbox_env.questions import Question
from inbox_env.store import EmailStore

MakeTools = Callable[[Inbox], Tools]


class Arena:
    """Questions of one split and their inboxes under one set of limits."""

    def __init__(
        self,
        inboxes: Mapping[str, Inbox],
        questions: Sequence[Question],
        limits: EnvLimits,
        make_tools: MakeTools | None = None,
    ) -> None:
        twice = [question_id for question_id, count in Counter(q.id for q in questions).items() if count > 1]
        if twice:
            raise UsageError(44, f"two questions are called {twice[0]!r}", next_step="give every question its own id")
        missing = {question.inbox for question in questions} - inboxes.keys()
        if missing:
            raise UsageError(46, f"no mail for the questions on inbox {min(missing)!r}", next_step="import that inbox")
        self.questions = tuple(questions)
        self.gold = {question.id: question for question in questions}
        self.limits = limits
        self._inboxes = dict(inboxes)
        self._make_tools = make_tools

    @classmethod
    def open(cls, mailbox: Path, questions: Sequence[Question], limits: EnvLimits) -> Arena:
        """Return the arena of `questions` over the inboxes of one mailbox file.

        Gold ids of folded copies become the id of the mail that was kept, so that finding it counts.
        """
        names = dict.fromkeys(question.inbox for question in questions)
        store = EmailStore.open(mailbox)
        inboxes = {name: Inbox(store, name) for name in names}
        return cls(inboxes, [_with_kept_ids(question, inboxes[question.inbox]) for question in questions], limits)

    def env(self, question: Question) -> InboxEnv:
        """Return a fresh environment for one episode of `question`."""
        inbox = self._inboxes[question.inbox]
        tools = self._make_tools(inbox) if self._make_tools else None
        return InboxEnv(inbox, question, self.limits, tools)

    def envs(self, questions: Iterable[Question] | None = None) -> list[InboxEnv]:
        """Return one environment for each question (of the arena, unless others are given)."""
        return [self.env(question) for question in (self.questions if questions is None else questions)]

    def with_limits(self, limits: EnvLimits) -> Arena:
        """Return the same inboxes and questions under other limits."""
        return Arena(self._inboxes, self.questions, limits, self._make_tools)

    def with_tools(self, make_tools: MakeTools | None) -> Arena:
        """Return the same inboxes and questions with other tools; None: the environment's own."""
        return Arena(self._inboxes, self.questions, self.limits, make_tools)

    def inbox(self, name: str) -> Inbox:
        """Return one of the inboxes."""
        return self._inboxes[name]


def _with_kept_ids(question: Question, inbox: Inbox) -> Question:
    mails = ((message_id, inbox.read(message_id, as_of=None)) for message_id in question.message_ids)
    kept = (message_id if mail is None else mail.email.message_id for message_id, mail in mails)
    return question.model_copy(update={"message_ids": tuple(dict.fromkeys(kept))})
