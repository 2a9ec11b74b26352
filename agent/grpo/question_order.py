"""Which questions a step plays: shuffled epochs, with mastered questions left out until the rest is used up.

With `prefer_middling` an epoch also passes over questions that are nearly always or nearly never answered right, the
more often the less their rollouts differ: those teach little. The order follows from the seed, how far it got and the
pass rates seen, so that it can be saved as a few numbers. Knows nothing of how questions are played.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from inbox_env.questions import Question

MEMORY = 0.5  # share of the earlier pass rate in the new one
LEAST_CHANCE = 0.1  # of a question that is always or never right, so that none is given up for good


class QuestionOrder:
    """An endless order over `questions`."""

    def __init__(self, questions: Sequence[Question], seed: int, *, prefer_middling: bool = False) -> None:
        self._questions = list(questions)
        self._seed, self._prefer_middling = seed, prefer_middling
        self._epoch, self._position = 0, 0
        self._retired: set[str] = set()
        self._pass_rates: dict[str, float] = {}
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
            if question.id in self._retired and len(self._retired) < len(self._questions):
                continue
            if not self._prefer_middling or self._is_drawn(question):
                taken.append(question)
        return taken

    def note(self, question: Question, pass_rate: float) -> None:
        """Remember that this share of a group was right; what is not preferred by it is not kept."""
        if self._prefer_middling:
            before = self._pass_rates.get(question.id, pass_rate)
            self._pass_rates[question.id] = MEMORY * before + (1 - MEMORY) * pass_rate

    def retire(self, question: Question) -> None:
        """Leave `question` out from now on: the policy has mastered it."""
        self._retired.add(question.id)

    def state(self) -> dict[str, Any]:
        """Return how far the order got, as JSON."""
        return {
            "epoch": self._epoch,
            "position": self._position,
            "retired": sorted(self._retired),
            "pass_rates": dict(sorted(self._pass_rates.items())),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        known = {question.id for question in self._questions}
        self._epoch, self._position = state["epoch"], state["position"]
        self._retired = known & set(state["retired"])
        self._pass_rates = {id_: rate for id_, rate in state.get("pass_rates", {}).items() if id_ in known}
        self._shuffled = self._shuffle()

    def chance(self, question: Question) -> float:
        """Return how often an epoch plays `question`: 1 at a pass rate of a half or none yet, less towards 0 and 1."""
        rate = self._pass_rates.get(question.id, 0.5)
        return max(4 * rate * (1 - rate), LEAST_CHANCE)

    def _is_drawn(self, question: Question) -> bool:
        return Random(f"{self._seed}:{self._epoch}:{question.id}").random() < self.chance(question)

    def _shuffle(self) -> list[Question]:
        order = list(self._questions)
        Random(f"{self._seed}:{self._epoch}").shuffle(order)
        return order
