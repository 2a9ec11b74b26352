"""Whether writer and solver give the same answer where the matcher cannot tell, as one says more than the other.

What both say becomes the answer, what one of them adds an accepted form, so that a policy is right with either. Pure.
"""

from __future__ import annotations

from agent.question_writer.checks import share_said
from inbox_env.questions import Question
from rewards.answers import match_answer
from rewards.values import parse, singular
from rewards.wording import DOUBTS, asks_for_a_person, content, is_inside, items

MIN_SHARED = 0.5  # of the writer's words, that the solver must say


def agreed(question: Question, said: str) -> Question | None:
    """Return the question with what `said` adds to it, or None when it is another answer.

    The matcher decides where it can. A longer answer agrees when the quotes say all of it; a shorter one when it is at
    least half of an answer that is neither a list nor a person's name. Typed values and doubts must be the same.
    """
    answer = question.answer or ""
    if (verdict := match_answer(said, question)) is not None:
        return question if verdict else None
    ours, theirs = parse(answer), parse(said)
    if ours.values != theirs.values or DOUBTS & (set(ours.words) ^ set(theirs.words)):
        return None
    gold, given = (tuple(map(singular, content(one.words))) for one in (ours, theirs))
    if not gold or not given:
        return None
    if is_inside(gold, given) and share_said(said, [question.evidence or ""]) == 1:
        return question.model_copy(update={"accepted": (*question.accepted, said)})
    is_short = is_inside(given, gold) and len(given) >= MIN_SHARED * len(gold)
    if is_short and len(items(answer)) == 1 and not asks_for_a_person(question.question):
        return question.model_copy(update={"answer": said, "accepted": (answer, *question.accepted)})
    return None
