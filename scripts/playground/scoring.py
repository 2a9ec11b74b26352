"""Why this reward, and why the right mail was not found: one finished episode against its label.

The ladder part by part; for every search the rank of each gold mail among all that was found, and how many mails each
keyword has alone. Knows nothing of the page or of policies.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from inbox_env.database import QueryTooSlow
from inbox_env.inbox import Inbox
from inbox_env.questions import Question
from inbox_env.search.base import Match, SearchQuery
from inbox_env.store import StoredEmail
from inbox_env.trajectory import ToolResultRecord, Trajectory
from rewards.citations import supporting_quote
from rewards.facts import SEARCH_TOOL, derive_facts
from rewards.ladder import LadderConfig, Mode, classify, make_ladder
from scripts.playground.mail_routes import mail_head
from scripts.playground.quotes import safe_body
from scripts.terminal import safe, safe_line

MAX_RANK = 5_000
_QUERY = TypeAdapter(SearchQuery)
_FIELDS = ("keywords", "from_addr", "to_addr", "sent_after", "sent_before", "order")


def with_reward(trajectory: Trajectory, question: Question, mode: Mode) -> Trajectory:
    """Return the trajectory with its reward."""
    reward = make_ladder(LadderConfig(mode=mode))(trajectory, question)
    return trajectory.model_copy(update={"reward": reward.value, "reward_parts": reward.parts})


def score_event(
    trajectory: Trajectory,
    question: Question,
    inbox: Inbox,
    mode: Mode,
    match: Match = "all",
    ladder: LadderConfig | None = None,
) -> dict[str, Any]:
    """Return the reward with its parts, the gold answer and mails, and each search with the ranks of the gold mails.

    `ladder` is what the tiers are worth, if not the usual.
    """
    config = ladder or LadderConfig(mode=mode)
    reward = make_ladder(config)(trajectory, question)
    gold = [stored for one in question.message_ids if (stored := inbox.read(one, as_of=question.as_of))]
    facts = derive_facts(trajectory, question)
    return {
        "mode": mode,
        "outcome": classify(trajectory, question, config).value,
        "reward": reward.value,
        "parts": reward.parts,
        "reason": safe_line(reward.reason),
        "answer": None if question.answer is None else safe(question.answer),
        "accepted": [safe(form) for form in question.accepted],
        "gold": [_gold_row(stored, question) for stored in gold],
        "found": facts.gold_found,
        "read": facts.gold_read,
        "cited": facts.gold_cited,
        "searches": explain_searches(trajectory, gold, inbox, question.as_of, match),
    }


def explain_searches(
    trajectory: Trajectory, gold: list[StoredEmail], inbox: Inbox, as_of: datetime | None, match: Match = "all"
) -> list[dict[str, Any]]:
    """Return for each search of an episode how many it found, where the gold mails stand, and each keyword alone."""
    rows = []
    for number, turn in enumerate(trajectory.turns, 1):
        for result in turn.results:
            query = explained_query(result, match)
            if query is not None:
                rows.append({"turn": number, **_explained(query, gold, inbox, as_of)})
    return rows


def _explained(query: SearchQuery, gold: list[StoredEmail], inbox: Inbox, as_of: datetime | None) -> dict[str, Any]:
    try:
        found = inbox.search(query, as_of=as_of, limit=MAX_RANK, snippet_chars=0)
        ranks = {hit.message_id: rank for rank, hit in enumerate(found.hits, 1)}
        return {
            "num_found": found.num_matches,
            "ranks": [{"number": one.number, "rank": ranks.get(one.email.message_id)} for one in gold],
            "keywords": [_keyword(word, query, gold, inbox, as_of) for word in query.keywords],
        }
    except QueryTooSlow:
        return {"num_found": None, "ranks": [], "keywords": []}


def _keyword(
    word: str, query: SearchQuery, gold: list[StoredEmail], inbox: Inbox, as_of: datetime | None
) -> dict[str, Any]:
    """Return how many mails hold one keyword alone, and whether the gold mails do."""
    alone = replace(query, keywords=(word,), order="newest")
    num_found = inbox.search(alone, as_of=as_of, limit=1, snippet_chars=0).num_matches
    return {
        "keyword": safe_line(word),
        "num_found": num_found,
        "in_gold": [_holds(one, alone, inbox, as_of) for one in gold],
    }


def _holds(stored: StoredEmail, query: SearchQuery, inbox: Inbox, as_of: datetime | None) -> bool:
    """Return whether this mail matches: its day is searched, which costs less than the whole inbox."""
    sent = stored.email.date
    if sent is not None:
        query = replace(query, sent_after=sent.date(), sent_before=sent.date())
    hits = inbox.search(query, as_of=as_of, limit=MAX_RANK, snippet_chars=0).hits
    return any(hit.number == stored.number for hit in hits)


def explained_query(result: ToolResultRecord, match: Match = "all") -> SearchQuery | None:
    """Return the query of a search call, or None for another call and for arguments that the tool refused."""
    if result.name != SEARCH_TOOL or result.arguments is None or result.is_error:
        return None
    given = {name: result.arguments[name] for name in _FIELDS if result.arguments.get(name) is not None}
    try:
        return _QUERY.validate_python({"keywords": (), **given, "match": match})
    except ValidationError:
        return None


def _gold_row(stored: StoredEmail, question: Question) -> dict[str, Any]:
    answers = [text for text in (question.evidence, question.answer, *question.accepted) if text]
    return mail_head(stored) | {"quote": supporting_quote(safe_body(stored.email), answers, question.question)}
