"""Questions about one inbox, from batches of its mail to what is kept: asked for in waves until there are enough.

What is kept follows from mailbox, seed and replies alone, in the order of the batches, whatever order the replies came
in: a run that was killed and goes on ends with the same questions, none of them twice. Drafts = kept + rejected.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import ceil
from typing import Any

from agent.question_writer.asking import Asker
from agent.question_writer.batches import Batch, Batches
from agent.question_writer.checks import check, read_draft
from agent.question_writer.copies import Asked
from agent.question_writer.drafts import DraftsReply
from agent.question_writer.estimate import num_batches_for
from agent.question_writer.prompts import write_messages
from agent.question_writer.rejections import Reason, Rejected, Rejection
from agent.question_writer.solve import Solver
from inbox_env.errors import MailsleuthError, ResourceError, UpstreamError
from inbox_env.inbox import Inbox
from inbox_env.questions import Question
from rewards.grader import all_of
from rewards.judge_model import JudgeFailure

FIRST_WAVE = 8  # batches, that show how much a batch gives
MAX_GROWTH = 2  # of what was asked so far is the next wave at most
MAX_TIMES_PLANNED = 3  # batches: an inbox that gives little must not cost without end
GIVE_UP_AFTER = 24  # batches without a question
MAX_UNANSWERABLE = 0.2  # of the questions: a policy that sees more learns to give up
MAX_ROW_CHARS = 400
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many questions of an inbox, drawn by which seed, said to be of which split, and how realistic at least."""

    count: int
    seed: int = 1
    split: str = ""
    min_realism: float = 0.5


@dataclass(slots=True)
class Written:
    """What came of one inbox; `failures` say why batches gave no drafts, `stop` why the run ended before its end."""

    inbox: str
    num_batches: int = 0
    questions: list[Question] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    failures: list[Rejection] = field(default_factory=list)
    stop: MailsleuthError | None = None

    @property
    def num_drafts(self) -> int:
        """Return how many drafts there were: each is a question or a rejection."""
        return len(self.questions) + len(self.rejections)

    def line(self) -> str:
        """Return the counts in words."""
        counts = Counter(one.reason for one in self.rejections)
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in counts.most_common())
        lost = f" ({len(self.failures):,} without drafts)" if self.failures else ""
        return (
            f"{self.inbox}: batches {self.num_batches:,}{lost}; drafts {self.num_drafts:,} = "
            f"questions {len(self.questions):,} + rejected {len(self.rejections):,}{f': {reasons}' if reasons else ''}"
        )


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of the drafts of one batch, in their order; or why there are none."""

    batch: int
    drafts: tuple[Question | Rejection, ...] = ()
    failure: str = ""


class QuestionWriter:
    """Writes questions about one inbox with `writer`, and proves them with `solver`."""

    def __init__(self, inbox: Inbox, batches: Batches, wanted: Wanted, writer: Asker, solver: Asker) -> None:
        self._inbox, self._batches, self._wanted, self._writer = inbox, batches, wanted, writer
        self._solver = Solver(solver, inbox, wanted.min_realism)
        self._asked, self._kept = Asked(), list[Question]()
        self._stop: MailsleuthError | None = None

    async def write(self, on_wave: Progress = lambda _: None) -> Written:
        """Return the questions and what was rejected; `on_wave` hears the counts after each wave.

        A budget that is used up and a model that is out for good are no exceptions here, but `stop`.
        """
        planned = num_batches_for(self._wanted.count)
        order, outcomes = iter(self._batches), list[_Outcome]()
        written = Written(self._inbox.name)
        size = min(FIRST_WAVE, ceil(planned / 2))
        while wave := list(islice(order, size)):
            outcomes += await all_of(map(self._outcome, wave))
            written = self._sorted(outcomes)
            self._kept = written.questions
            on_wave(written.line())
            size = 0 if self._stop else self._next_wave(written, MAX_TIMES_PLANNED * planned)
        return written

    def _next_wave(self, written: Written, most: int) -> int:
        """Return how many more batches are likely to give what is missing, of `most` in all; 0 when it is enough."""
        num_done, num_kept = written.num_batches, len(written.questions)
        num_missing = self._wanted.count - num_kept
        is_mute = len(written.failures) == num_done >= FIRST_WAVE
        is_poor = num_kept == 0 and num_done >= GIVE_UP_AFTER
        if num_missing <= 0 or is_mute or is_poor:
            return 0
        likely = ceil(num_missing * num_done / num_kept) if num_kept else most
        return min(likely, MAX_GROWTH * num_done, most - num_done)

    async def _outcome(self, batch: Batch) -> _Outcome:
        try:
            reply = await self._writer.ask(DraftsReply, write_messages(batch, self._inbox.owner))
        except JudgeFailure as failure:
            return _Outcome(batch.number, failure=str(failure))
        except (ResourceError, UpstreamError) as stop:
            self._stop = self._stop or stop
            return _Outcome(batch.number, failure="the run ended before it")
        return _Outcome(batch.number, tuple(await all_of(self._proved(row, batch) for row in reply.drafts)))

    async def _proved(self, row: dict[str, Any], batch: Batch) -> Question | Rejection:
        try:
            candidate = check(read_draft(row), batch, self._inbox)
            if (against := self._against(candidate.question, self._kept)) is not None:
                raise Rejected(*against)  # for what earlier waves gave: not worth a call
            return await self._solver.prove(candidate)
        except Rejected as rejected:
            return _rejection(rejected, row, batch)
        except JudgeFailure as failure:
            return _rejection(Rejected("no_reply", str(failure)), row, batch)
        except (ResourceError, UpstreamError) as stop:
            self._stop = self._stop or stop
            return _rejection(Rejected("unfinished"), row, batch)

    def _sorted(self, outcomes: Sequence[_Outcome]) -> Written:
        """Return the outcomes as questions, without copies and surplus, and rejections."""
        written = Written(self._inbox.name, len(outcomes), stop=self._stop)
        asked = self._asked = Asked()
        for outcome in outcomes:
            if outcome.failure:
                written.failures.append(Rejection(outcome.batch, "no_reply", outcome.failure))
            for draft in outcome.drafts:
                if isinstance(draft, Rejection):
                    written.rejections.append(draft)
                elif (against := self._against(draft, written.questions)) is not None:
                    written.rejections.append(Rejection(outcome.batch, *against, draft.kind, draft.question))
                else:
                    asked.add(draft)
                    written.questions.append(self._named(draft, len(written.questions) + 1))
        return written

    def _against(self, draft: Question, kept: Sequence[Question]) -> tuple[Reason, str] | None:
        """Return why a proved draft is not kept beside the earlier ones, or None."""
        if (same := self._asked.earlier(draft)) is not None:
            return "copy", same
        num_absent = sum(not question.answerable for question in kept)
        if not draft.answerable and num_absent >= MAX_UNANSWERABLE * self._wanted.count:
            return "surplus", "of unanswerable ones"
        return ("surplus", "") if len(kept) >= self._wanted.count else None

    def _named(self, question: Question, number: int) -> Question:
        name = f"{self._inbox.name}-written-{self._wanted.seed}-{number:04d}"
        return question.model_copy(update={"id": name, "split": self._wanted.split})


def _rejection(rejected: Rejected, row: dict[str, Any], batch: Batch) -> Rejection:
    kind, text = (str(row.get(name, ""))[:MAX_ROW_CHARS] for name in ("kind", "question"))
    return Rejection(batch.number, rejected.reason, rejected.detail, kind, text)
