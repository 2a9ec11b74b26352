"""A recorded episode as the events that a live one sends, so that the same page draws both.

| event | holds |
|---|---|
| `question`, `turn`.., `ending` | as in `cards.py` |
| `score` | the reward as it was recorded, part by part; with label and mail also what `scoring.py` says |

Knows nothing of files or HTTP.
"""

from __future__ import annotations

from typing import Any

from inbox_env.inbox import Inbox
from inbox_env.questions import Question
from inbox_env.search.base import SearchQuery
from inbox_env.trajectory import Trajectory
from rewards.ladder import LadderConfig
from scripts.playground.cards import ending_event, question_event, turn_card
from scripts.playground.event_stream import Event
from scripts.playground.run_index import outcome_of
from scripts.playground.scoring import explained_query, score_event
from scripts.terminal import safe, safe_line
from scripts.unlabelled import unlabelled


def replay_events(
    trajectory: Trajectory, question: Question | None, inbox: Inbox | None, ladder: LadderConfig
) -> list[Event]:
    """Return the whole episode; without an inbox mails are known by their Message-IDs only."""
    asked = question or unlabelled(trajectory.question_id, trajectory.question, trajectory.inbox, None)
    is_labelled = question is not None and question.is_labelled
    events: list[Event] = [("question", question_event(asked, trajectory.policy, is_labelled=is_labelled))]
    for number, turn in enumerate(trajectory.turns, 1):
        card = turn_card(turn, number, inbox, asked.as_of)
        for call, result in zip(card["calls"], turn.results, strict=True):
            query = explained_query(result)
            call["typed"] = typed(query) if query else None
        events.append(("turn", card))
    events.append(("ending", ending_event(trajectory, inbox, asked)))
    if is_labelled or trajectory.reward_parts or trajectory.reward is not None:
        events.append(("score", _score(trajectory, question, inbox, ladder)))
    return events


def typed(query: SearchQuery) -> str:
    """Return a query as somebody would type it into the list, which then shows what the agent saw."""
    keywords = (word.strip() for word in query.keywords if '"' not in word)
    words = [word if word.isalnum() else f'"{word}"' for word in keywords if word]
    bounds = {
        "from": query.from_addr,
        "to": query.to_addr,
        "after": query.sent_after and query.sent_after.isoformat(),
        "before": query.sent_before and query.sent_before.isoformat(),
    }
    words += [f'{name}:"{value}"' for name, value in bounds.items() if value and '"' not in value]
    return safe_line(" ".join(words))


def _score(
    trajectory: Trajectory, question: Question | None, inbox: Inbox | None, ladder: LadderConfig
) -> dict[str, Any]:
    if question and question.is_labelled and inbox:
        score = score_event(trajectory, question, inbox, ladder.mode, ladder=ladder)
    else:
        label = question if question and question.is_labelled else None
        score = {"mode": ladder.mode, "outcome": outcome_of(trajectory, question, ladder), "reason": ""}
        score |= {"answer": label and label.answer and safe(label.answer), "gold": None, "searches": []}
        score |= {"has_label": label is not None, "reward": None, "parts": {}}
    if trajectory.reward is not None or trajectory.reward_parts:  # as it was trained on, whatever the ladder says now
        recorded = outcome_of(trajectory, question, ladder)
        score |= {"reward": trajectory.reward, "parts": trajectory.reward_parts, "outcome": recorded or "scored"}
    if trajectory.verdict is not None:
        said = trajectory.verdict
        score["verdict"] = safe_line(f"{said.judge}: {said.value}" + (f" ({said.reason})" if said.reason else ""), 400)
    return score
