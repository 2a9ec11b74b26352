"""The second pass: can somebody who knows only the question find the answer by search, and is it the only one?

The solver first says how it would search, seeing nothing but the question. Then it answers from the mails found; then
again without the mail that holds the answer, when nothing may give it. Never is it shown answer, quotes or gold mails
as such. Knows nothing of how questions are drafted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from agent.question_writer.agreement import agreed
from agent.question_writer.asking import Asker
from agent.question_writer.checks import Candidate
from agent.question_writer.drafts import SearchesReply, SolutionReply
from agent.question_writer.prompts import answer_messages, search_messages
from agent.question_writer.rejections import Rejected
from inbox_env.database import QueryTooSlow
from inbox_env.inbox import Inbox
from inbox_env.known_items.words import content_words
from inbox_env.questions import Question
from inbox_env.search.base import MAX_KEYWORDS, Match, SearchHit, SearchQuery
from inbox_env.store import StoredEmail
from rewards.answers import contains_answer

MAX_SHOWN = 10
_HITS_OF_SEARCH = 4


class Solver:
    """Proves candidates of one inbox; `min_realism` is the least that its first judgement may be."""

    def __init__(self, asker: Asker, inbox: Inbox, min_realism: float) -> None:
        self._asker, self._inbox, self._min_realism = asker, inbox, min_realism

    async def prove(self, candidate: Candidate) -> Question:
        """Return the question, with how realistic it is and every mail that holds its answer.

        Raises Rejected when it fails, JudgeFailure when there is no reply to decide by.
        """
        question = candidate.question
        plan = await self._asker.ask(
            SearchesReply, search_messages(question.question, self._inbox.owner, _day(question))
        )
        question = question.model_copy(update={"how_realistic": plan.realism})
        if plan.realism < self._min_realism:
            raise Rejected("unrealistic", f"{plan.realism:.2f}")
        found = self._found(question, plan)
        if not question.answerable:
            return await self._absent(question, candidate.near_id, found)
        gold = set(question.message_ids)
        if not gold <= {one.email.message_id for one in found}:
            raise Rejected("unfindable", f"{len(found)} mails found")
        solution = await self._answer(question, found)
        solved = None if solution.answer is None else agreed(question, solution.answer)
        if solved is None:
            raise Rejected("unsolved", _said(solution))
        return await self._unique(solved, candidate, found)

    async def _absent(self, question: Question, near_id: str, found: Sequence[StoredEmail]) -> Question:
        if near_id not in {one.email.message_id for one in found}:
            raise Rejected("not_near", f"{len(found)} mails found")
        solution = await self._answer(question, found)
        if solution.answer is not None:
            raise Rejected("answerable", _said(solution))
        return question

    async def _unique(self, question: Question, candidate: Candidate, found: Sequence[StoredEmail]) -> Question:
        """Return the question with the other mails that hold its answer; raises Rejected when they give another."""
        others = [one for one in found if one.email.message_id not in candidate.hidden]
        if not others:
            return question
        solution = await self._answer(question, others)
        if solution.answer is None:
            return question
        is_same = agreed(question, solution.answer) is not None
        if question.kind != "single":  # without its newest mail, what is left may say something else
            if is_same:
                raise Rejected("ambiguous" if question.kind == "distractor" else "one_mail", _said(solution))
            return question
        cited = [others[place - 1] for place in sorted(set(solution.mails or ())) if place <= len(others)]
        if not is_same or not cited or not all(_holds(one, question) for one in cited):
            raise Rejected("ambiguous", _said(solution))
        more = (one.email.message_id for one in cited)
        return question.model_copy(update={"message_ids": tuple(dict.fromkeys((*question.message_ids, *more)))})

    async def _answer(self, question: Question, found: Sequence[StoredEmail]) -> SolutionReply:
        emails = [one.email for one in found]
        messages = answer_messages(question.question, self._inbox.owner, _day(question), emails)

        def is_of_these(reply: SolutionReply) -> bool:
            return all(1 <= place <= len(emails) for place in reply.mails or ())

        return await self._asker.ask(SolutionReply, messages, is_of_these)

    def _found(self, question: Question, plan: SearchesReply) -> list[StoredEmail]:
        """Return what the searches and the question's own words find, in turns and best first, then by date."""
        searches = [*plan.searches, tuple(content_words(question.question)[:MAX_KEYWORDS])]
        pages = [self._hits(question, keywords, is_last=keywords is searches[-1]) for keywords in searches]
        numbers = list(dict.fromkeys(hit.number for hit in _in_turns(pages)))[:MAX_SHOWN]
        read = (self._inbox.read(number, as_of=question.as_of) for number in sorted(numbers))
        return [one for one in read if one is not None]

    def _hits(self, question: Question, keywords: tuple[str, ...], *, is_last: bool) -> Sequence[SearchHit]:
        """Return the best hits; a search that finds nothing is made again with any of its keywords."""
        kinds: tuple[Match, ...] = ("any",) if is_last else ("all", "any")
        for match in kinds if keywords else ():
            query = SearchQuery(keywords, match=match)
            try:
                hits = self._inbox.search(query, as_of=question.as_of, limit=_HITS_OF_SEARCH, snippet_chars=0).hits
            except QueryTooSlow:
                continue
            if hits:
                return hits
        return ()


def _in_turns(pages: Sequence[Sequence[SearchHit]]) -> Iterator[SearchHit]:
    for rank in range(_HITS_OF_SEARCH):
        yield from (page[rank] for page in pages if rank < len(page))


def _holds(stored: StoredEmail, question: Question) -> bool:
    return contains_answer(f"{stored.email.subject}\n{stored.email.body}", question)


def _said(solution: SolutionReply) -> str:
    return "it does not know" if solution.answer is None else f"it says {solution.answer[:80]!r}"


def _day(question: Question) -> date:
    assert question.asked_on is not None, "the batch says the day"
    return question.asked_on
