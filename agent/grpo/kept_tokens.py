"""Keeping the tokens of a few groups of each step with what the update saw of them: to be looked at afterwards.

The numbers are those of the update's own forward pass, so that keeping them costs no other. Knows nothing of how
they are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import compress
from pathlib import Path

from torch import Tensor

from agent.chat_format import ChatFormat
from agent.grpo.groups import Group
from agent.grpo.packing import MicroBatch
from agent.grpo.samples import TrainingSample
from agent.token_records import TokenRecord, token_path, write_token_records

MAX_TOKENS = 50_000  # of one step
_DIGITS = 5


class KeptTokens:
    """Remembers what the update saw of the rollouts of the first `num_groups` groups that differ; 0: of none."""

    def __init__(self, run: Path | None, chat: ChatFormat, num_groups: int) -> None:
        self._run, self._num_groups = run, num_groups if run else 0
        self._text = lru_cache(maxsize=1 << 16)(lambda token_id: chat.decode([token_id]))
        self._wanted: dict[int, tuple[str, TrainingSample]] = {}
        self._seen: dict[int, dict[str, Tensor]] = {}

    def choose(self, groups: Sequence[Group], samples: Sequence[TrainingSample]) -> None:
        """Forget the last step and take note of whose tokens are kept of this one."""
        self._wanted, self._seen = {}, {}
        by_line = {sample.line: sample for sample in samples}
        line, num_kept, num_tokens = 1, 0, 0
        for group in groups:
            members = {place: by_line[place] for place in range(line, line + len(group.rollouts)) if place in by_line}
            line += len(group.rollouts)
            size = sum(len(sample.token_ids) for sample in members.values())
            if not members or num_kept >= self._num_groups or num_tokens + size > MAX_TOKENS:
                continue
            num_kept, num_tokens = num_kept + 1, num_tokens + size
            self._wanted |= {place: (group.question.id, sample) for place, sample in members.items()}

    def note(self, batch: MicroBatch, logprobs: Tensor) -> None:
        """Take what the update saw of one micro-batch; `logprobs` [N] are the trainer's."""
        for number, line in enumerate(batch.lines):
            if line not in self._wanted:
                continue
            is_its = batch.sequence_ids == number
            columns = {"logprobs": logprobs, "old_logprobs": batch.old_logprobs, "advantages": batch.advantages}
            if batch.weights is not None:
                columns["weights"] = batch.weights
            self._seen[line] = {name: column[is_its] for name, column in columns.items()}

    def write(self, step: int) -> None:
        """Write what was noted, if anything was."""
        if self._run is not None and self._seen:
            write_token_records(token_path(self._run, step), [self._record(line) for line in sorted(self._seen)])

    def _record(self, line: int) -> TokenRecord:
        question_id, sample = self._wanted[line]
        seen = {name: _rounded(column.tolist()) for name, column in self._seen[line].items()}
        return TokenRecord(
            line=line,
            question_id=question_id,
            tokens=tuple(map(self._text, sample.token_ids)),
            mask=sample.action_mask,
            sampled=_rounded(compress(sample.logprobs, sample.action_mask)),
            logprobs=seen["logprobs"],
            old_logprobs=seen["old_logprobs"],
            advantages=seen["advantages"],
            weights=seen.get("weights"),
            token_ids=sample.token_ids,
        )


def _rounded(values: Sequence[float] | compress[float]) -> tuple[float, ...]:
    return tuple(round(value, _DIGITS) for value in values)
