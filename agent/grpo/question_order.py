"""Which questions a step plays: shuffled epochs, with mastered questions left out until the rest is used up.

The order follows from the seed and how far it got, so that it can be saved as a few numbers. Knows nothing of how
questions are played.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from inbox_env.questions import Question


class QuestionOrder:
    """An endless order over `questions`."""

    def __init__(self, questions: Sequence[Question], seed: int) -> None:
        self._questions = list(questions)
        self._seed = seed
        self._epoch, self._position = 0, 0
        self._retired: set[str] = set()
        self._shuffled = self._shuffle()

    def take(self, count: int) -> list[Question]:
        """Return the next `count` questions; retired ones are passed over while others are left."""
        taken: list[Question] = []
        while len(taken) < count:
            if self._position >= len(self._shuffled):
                self._epoch, self._position = self._epoch + 1, 0
                self._shuffled = self._shuffle()
            question = self._shuffled[self._position]
            self._position += 1
            if question.id not in self._retired or len(self._retired) >= len(self._questions):
                taken.append(question)
        return taken

    def retire(self, question: Question) -> None:
        """Leave `question` out from now on: the policy has mastered it."""
        self._retired.add(question.id)

    def state(self) -> dict[str, Any]:
        """Return how far the order got, as JSON."""
        return {"epoch": self._epoch, "position": self._position, "retired": sorted(self._retired)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self._epoch, self._position = state["epoch"], state["position"]
        self._retired = {question.id for question in self._questions} & set(state["retired"])
        self._shuffled = self._shuffle()

    def _shuffle(self) -> list[Question]:
        order = list(self._questions)
        Random(f"{self._seed}:{self._epoch}").shuffle(order)
        return order
