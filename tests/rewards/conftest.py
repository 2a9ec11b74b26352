"""Builders of questions and trajectories for the reward tests."""

from __future__ import annotations

import pytest

from inbox_env.actions import StopReason
from inbox_env.questions import Question
from inbox_env.trajectory import ToolResultRecord, Trajectory, Turn


def search(*keywords, listed=(), is_error=False, **arguments):
    return ToolResultRecord(
        name="search_emails", arguments={"keywords": list(keywords), **arguments}, content="hits", listed=listed,
        is_error=is_error,
    )  # fmt: skip


def read(message_id, content="a mail"):
    return ToolResultRecord(name="read_email", arguments={"id": 1}, content=content, opened=(message_id,))


def garbage():
    return ToolResultRecord(name="", arguments=None, content="no call", is_error=True)


def play(*results, answer=None, sources=(), unknown_sources=(), stop=None, question_id="q"):
    """A trajectory with one result a turn; its stop reason follows from the answer unless given."""
    final = ToolResultRecord(name="return_final_answer", arguments={"answer": answer}, content="")
    stop = stop or (StopReason.GAVE_UP if answer is None else StopReason.ANSWERED)
    is_ended = stop in (StopReason.GAVE_UP, StopReason.ANSWERED)
    turns = tuple(Turn(text="", results=(result,)) for result in (*results, *((final,) if is_ended else ())))
    return Trajectory(
        question_id=question_id, inbox="i", policy="p", question="How much?", opening="", turns=turns, stop_reason=stop,
        answer=answer, sources=sources, unknown_sources=unknown_sources,
    )  # fmt: skip


class Builders:
    """What the tests build with."""

    search = staticmethod(search)
    read = staticmethod(read)
    garbage = staticmethod(garbage)
    play = staticmethod(play)
    answerable = Question(id="q", inbox="i", question="How much?", answer="$5", message_ids=("<gold>", "<copy>"))
    unanswerable = Question(id="q", inbox="i", question="How much?", answerable=False, kind="unanswerable")


@pytest.fixture(scope="session")
def build() -> type[Builders]:
    return Builders
