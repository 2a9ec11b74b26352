"""What a report says, before it is laid out: the headline, the order of policies, charts, samples as steps.

Knows nothing of HTML or Markdown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agent.evaluate import PolicyReport, Role
from inbox_env.actions import StopReason
from inbox_env.trajectory import Trajectory, Turn
from scripts.episode_view import call_line, ending_line
from scripts.report_svg import Chart, Point
from scripts.run_folder import RunFolder, Sample
from scripts.terminal import safe, safe_line

MAX_RESULT_CHARS = 3000
FOLD_LINES = 12  # longer results are folded behind their first line
NUM_SAMPLES = 5
ROLE_WORDS: dict[Role, str] = {
    "trained": "trained",
    "base": "before training",
    "control": "more imitation",
    "demonstrator": "demonstrator",
    "baseline": "baseline",
    "oracle": "ceiling",
}
_CURVES = (
    ("Reward of training rollouts", "reward_mean", False),
    ("Training rollouts right", "accuracy", True),
    ("Held-out questions right", "eval_accuracy", True),
    ("Turns of a rollout", "num_turns_mean", False),
    ("Turns with an invalid call", "invalid_rate", True),
    ("Rollouts that say \u201cI don\u2019t know\u201d", "abstain_rate", True),
)


@dataclass(frozen=True, slots=True)
class Headline:
    """Base and trained policy on the same split."""

    before: PolicyReport
    after: PolicyReport

    @property
    def points(self) -> float:
        """Gain in percentage points."""
        return 100 * (self.after.accuracy - self.before.accuracy)

    @property
    def is_apart(self) -> bool:
        """Whether the 95 % intervals do not overlap."""
        return self.after.ci95[0] > self.before.ci95[1] or self.after.ci95[1] < self.before.ci95[0]


@dataclass(frozen=True, slots=True)
class Step:
    """One call of an episode and its result; a long one is folded behind its first line."""

    call: str
    result: str
    is_long: bool
    is_error: bool


@dataclass(frozen=True, slots=True)
class Episode:
    """One side of a sample."""

    steps: tuple[Step, ...]
    ending: str
    verdict: str
    reward: float | None
    num_turns: int


@dataclass(frozen=True, slots=True)
class SampleView:
    """One question before and after."""

    question: str
    before: Episode
    after: Episode


def headline(policies: Sequence[PolicyReport]) -> Headline | None:
    """Return base and trained policy of the last split that has both (the test split comes last), or None."""
    pairs: dict[str, dict[Role, PolicyReport]] = {}
    for policy in policies:
        pairs.setdefault(policy.split, {}).setdefault(policy.role, policy)
    both = [roles for roles in pairs.values() if "base" in roles and "trained" in roles]
    return Headline(both[-1]["base"], both[-1]["trained"]) if both else None


def in_order(policies: Sequence[PolicyReport]) -> list[PolicyReport]:
    """Return the policies by split, and inside a split the best first."""
    splits = list(dict.fromkeys(policy.split for policy in policies))
    return sorted(policies, key=lambda policy: (splits.index(policy.split), -policy.accuracy, policy.name))


def charts(folder: RunFolder) -> list[Chart]:
    """Return the curves of a run; the base's accuracy is the level that held-out accuracy is compared with."""
    return [_chart(folder.metrics, *curve) for curve in _CURVES]


def sample_views(samples: Sequence[Sample]) -> list[SampleView]:
    """Return the first five samples as steps."""
    return [
        SampleView(safe_line(sample.before.question), _episode(sample.before), _episode(sample.after))
        for sample in samples[:NUM_SAMPLES]
    ]


def training_facts(train: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what training took, as (what, how much) in words."""
    writers = {
        "steps": lambda value: f"{value:,}",
        "seconds": lambda value: f"{value / 60:.1f} minutes" if value >= 60 else f"{value:.0f} seconds",
        "generated_tokens": lambda value: f"{value / 1e6:.2f} million",
        "trained_tokens": lambda value: f"{value / 1e6:.2f} million",
        "peak_rss_mb": lambda value: f"{value / 1024:.1f} GiB",
    }
    names = {"seconds": "time", "peak_rss_mb": "peak memory"}
    facts = []
    for name, value in train.items():
        is_number = isinstance(value, int | float) and name in writers
        facts.append((names.get(name, name.replace("_", " ")), writers[name](value) if is_number else str(value)))
    return facts


def _chart(metrics: Sequence[dict[str, float]], title: str, key: str, is_share: bool) -> Chart:
    points: list[Point] = [(row["step"], row[key]) for row in metrics if math.isfinite(row.get(key, math.nan))]
    if key == "eval_accuracy":
        return Chart(title, [], points, points[0][1] if points else None, is_share)
    return Chart(title, points, [], None, is_share)


def _episode(trajectory: Trajectory) -> Episode:
    steps = tuple(step for turn in trajectory.turns for step in _steps(turn))
    return Episode(steps, ending_line(trajectory), _verdict(trajectory), trajectory.reward, len(trajectory.turns))


def _steps(turn: Turn) -> list[Step]:
    if not turn.results:
        return [Step("no call", safe(turn.text)[:MAX_RESULT_CHARS], False, True)]
    return [
        Step(call_line(result), text := _shorten(result.content), text.count("\n") >= FOLD_LINES, result.is_error)
        for result in turn.results
    ]


def _shorten(content: str) -> str:
    text = safe(content).strip()
    return text if len(text) <= MAX_RESULT_CHARS else f"{text[:MAX_RESULT_CHARS]}…"


def _verdict(trajectory: Trajectory) -> str:
    """The tier that the reward was paid for; "" for a trajectory without a reward."""
    for tier in ("right", "abstained", "wrong", "gave_up"):
        if tier in trajectory.reward_parts:
            return tier
    return "gave_up" if trajectory.reward is not None and trajectory.stop_reason is StopReason.GAVE_UP else ""
