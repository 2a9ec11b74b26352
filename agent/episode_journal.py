"""A JSON Lines file that grows by one line with every finished episode, so that a killed process loses none.

A last line without its line break is what the killed process was writing: it is no episode. Knows nothing of policies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from inbox_env.actions import StopReason
from inbox_env.errors import CorruptError
from inbox_env.trajectory import Trajectory, write_trajectories

MAX_NAME_CHARS = 120


class EpisodeJournal:
    """The episodes of one policy; of two plays of a question the later one counts."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, *, with_errors: bool = False) -> dict[str, Trajectory]:
        """Return the episodes by question id; those that an outage ended only if asked for.

        Raises CorruptError for a line that is no episode.
        """
        if not self.path.is_file():
            return {}
        lines = self._whole_lines().splitlines()
        try:
            played = [Trajectory.model_validate_json(line) for line in lines if line.strip()]
        except ValueError as error:
            next_step = "remove it: its episodes are played again"
            what = "the file of episodes is damaged"
            raise CorruptError(50, what, where=str(self.path), next_step=next_step) from error
        by_id = {one.question_id: one for one in played}
        return {key: one for key, one in by_id.items() if with_errors or one.stop_reason is not StopReason.ERROR}

    def mend(self) -> None:
        """Cut off what a killed process did not finish writing."""
        if self.path.is_file() and len(whole := self._whole_lines()) < self.path.stat().st_size:
            with self.path.open("r+b") as file:
                file.truncate(len(whole))

    def append(self, trajectory: Trajectory) -> None:
        """Add one episode; it is on file when this returns."""
        write_trajectories(self.path, [trajectory], append=True)

    def replace(self, trajectories: Iterable[Trajectory]) -> None:
        """Write the file anew, one line an episode, beside it and renamed: a full disk loses none that it held."""
        partial = self.path.with_suffix(".partial")
        try:
            write_trajectories(partial, trajectories)
            partial.replace(self.path)
        finally:
            partial.unlink(missing_ok=True)

    def _whole_lines(self) -> bytes:
        data = self.path.read_bytes()
        return data[: data.rfind(b"\n") + 1]


def file_name(policy: str) -> str:
    """Return what the file of a policy's trajectories is called; where no file can be called so, with a digest."""
    plain = re.sub(r"[^A-Za-z0-9.+-]+", "_", policy)
    digest = "" if plain == policy else "-" + sha256(policy.encode()).hexdigest()[:6]  # two stay apart
    return f"{plain[:MAX_NAME_CHARS]}{digest}.jsonl"
