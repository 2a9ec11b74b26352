"""TokenRecord: one rollout token by token, as it was trained on; what a person looks at when a reward is not enough.

`tokens/step-000001.jsonl` of a run folder, one JSON object a line. Made by `agent.grpo.kept_tokens`, read by the
viewer. It is mail, as a trajectory is. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

FOLDER = "tokens"


class TokenRecord(BaseModel):
    """A rollout's tokens; `line` is its line in the step's trajectory file, from 1.

    `tokens` (the text of each) and `mask` (1: sampled, and so trained on) have equal length; the other lists have one
    number for each sampled token. `sampled` are the sampler's logprobs, `logprobs` the trainer's at its update,
    `old_logprobs` what the ratio was taken against, all in nats. `weights` is None where every token weighed 1,
    `token_ids` in records of before they were kept.
    """

    model_config = ConfigDict(frozen=True)

    line: int
    question_id: str
    tokens: tuple[str, ...]
    mask: tuple[int, ...]
    sampled: tuple[float, ...]
    logprobs: tuple[float, ...]
    old_logprobs: tuple[float, ...]
    advantages: tuple[float, ...]
    weights: tuple[float, ...] | None = None
    token_ids: tuple[int, ...] | None = None


def token_path(run: Path, step: int) -> Path:
    """Return the file of one step."""
    return run / FOLDER / f"step-{step:06d}.jsonl"


def write_token_records(path: Path, records: Iterable[TokenRecord]) -> None:
    """Write one JSON object a line, beside its place and moved into it."""
    path.parent.mkdir(exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as file:
        file.writelines(record.model_dump_json(exclude_none=True) + "\n" for record in records)
    partial.replace(path)


def read_token_records(path: Path) -> Iterator[TokenRecord]:
    """Yield the records of a file; none when there is no file. Lines that are no record are passed over."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8") as file:
        for line in file:
            try:
                yield TokenRecord.model_validate_json(line)
            except ValidationError:
                continue
