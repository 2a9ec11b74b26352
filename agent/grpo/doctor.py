"""The doctor's checks over a run's numbers and trajectories: pure, the same live and afterwards.

`examine_metrics` reads rows of metrics.jsonl, `examine_steps` what was played. Thresholds are named constants; they
speak only of what lasts, because single steps are noisy. Knows nothing of files.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import fmean, median

from agent.grpo.findings import Finding, FindingName, Severity, found
from inbox_env.actions import StopReason
from inbox_env.trajectory import Trajectory
from rewards.bait import shows_bait

Row = Mapping[str, float]

WINDOW = 10  # steps that a share is averaged over, and that there must be before it is judged
MAX_MISMATCH_KL, BAD_MISMATCH_KL = 0.01, 0.1  # nats a token
MAX_ZERO_SPREAD, MAX_TRUNCATED, MAX_LOOPS = 0.7, 0.3, 0.1
WARN_FAILED, MAX_FAILED = 0.05, 0.10
MIN_FAILED = 3  # of fewer, no share says that a run is lost
MIN_ENTROPY, COLLAPSED_SHARE = 0.005, 0.1
JUMP_IN_SPREADS, JUMP_IN_DEVIATIONS, LEAST_SPREAD = 0.5, 6.0, 0.08
NEEDED_FOR_JUMP, EARLY = 3, 5  # steps before a jump
LEAST_MISSING, SURE = 0.1, 4.0  # share of a change, and standard errors of it, that must be missing to be sure
LOOP = 3  # equal calls in one episode


def examine_metrics(rows: Sequence[Row]) -> list[Finding]:
    """Return what the rows of metrics.jsonl say, in their order of steps."""
    taught = [row for row in rows if row.get("trained_tokens", 0) > 0]
    checks: tuple[Callable[[Sequence[Row]], Finding | None], ...] = (_mismatch, _old_weights, _entropy)
    results = [check(taught) for check in checks] + [_not_finite(rows), _stale(rows)]
    shares: tuple[tuple[FindingName, str, float], ...] = (
        ("zero_spread", "zero_spread_fraction", MAX_ZERO_SPREAD),
        ("truncated", "truncated_fraction", MAX_TRUNCATED),
    )
    results += [_share(rows, *share) for share in shares]
    return [finding for finding in results if finding is not None] + list(reward_jumps(rows))


def examine_steps(steps: Mapping[int, Sequence[Trajectory]]) -> list[Finding]:
    """Return what the trajectories of the last steps say, by step number."""
    last = dict(sorted(steps.items())[-WINDOW:])
    played = [(step, line, trajectory) for step, lines in last.items() for line, trajectory in enumerate(lines, 1)]
    if not played:
        return []
    loops = [place for *place, trajectory in played if most_repeated(trajectory) >= LOOP]
    failed = [place for *place, trajectory in played if trajectory.stop_reason is StopReason.ERROR]
    findings = []
    if len(loops) > MAX_LOOPS * len(played):
        evidence = f"{len(loops)} of the last {len(played)} episodes: {_places(loops)}"
        findings.append(found("repeated_calls", Severity.WARNING, evidence, max(last)))
    if len(failed) > WARN_FAILED * len(played):
        is_lost = len(failed) > MAX_FAILED * len(played) and len(failed) >= MIN_FAILED
        severity = Severity.ERROR if is_lost else Severity.WARNING
        evidence = f"{len(failed)} of the last {len(played)} episodes: {_places(failed)}"
        findings.append(found("failed_rollouts", severity, evidence, max(last)))
    return [*findings, *_bait(played)]


def _bait(played: Sequence[tuple[int, int, Trajectory]]) -> Iterator[Finding]:
    """Yield that episodes were shown reward bait, by the questions they are of and with their places."""
    baited = [(step, line, one) for step, line, one in played if shows_bait(one)]
    if baited:
        num_questions = len({one.question_id for *_, one in baited})
        evidence = f"{num_questions} questions, {len(baited)} of the last {len(played)} episodes: "
        evidence += _places([place for *place, _ in baited])
        yield found("reward_bait", Severity.NOTE, evidence, baited[-1][0])


def most_repeated(trajectory: Trajectory) -> int:
    """Return how often the most frequent call of an episode was made with the same arguments."""
    calls = Counter(
        (result.name, json.dumps(result.arguments, sort_keys=True, default=str))
        for turn in trajectory.turns
        for result in turn.results
        if result.arguments is not None
    )
    return max(calls.values(), default=0)


def is_lost(share: float, error: float) -> bool:
    """Return whether a sampler that followed by `share`, give or take `error`, surely has other weights.

    Some may have arrived: a sampler may read a part of the model's weights and keep copies of the others.
    """
    return 1 - share > max(LEAST_MISSING, SURE * error)


def reward_jumps(rows: Sequence[Row]) -> Iterator[Finding]:
    """Yield the steps whose mean reward rose far beyond what steps before it did.

    Far, over the highest of the three steps before: more than half of the rewards' own spread (all of it where less
    than EARLY steps say what is usual), and more than JUMP_IN_DEVIATIONS median deviations of the earlier changes.
    """
    rewards, last = [row.get("reward_mean", math.nan) for row in rows], -3
    for place in range(NEEDED_FOR_JUMP, len(rewards)):
        start = max(0, place - 2 * WINDOW)
        before = rewards[start:place]
        if not all(map(math.isfinite, [*before, rewards[place]])):
            continue
        usual = median(abs(after - earlier) for earlier, after in pairwise(before))
        level = max(before[-3:])
        share = JUMP_IN_SPREADS if len(before) >= EARLY else 2 * JUMP_IN_SPREADS
        least = share * _spread(rows[start:place], rows[place])
        if rewards[place] - level > max(least, JUMP_IN_DEVIATIONS * usual) and place - last >= 3:
            last = place
            step = int(rows[place]["step"])
            evidence = f"step {step}: {level:+.3g} to {rewards[place]:+.3g}"
            yield found("reward_jump", Severity.WARNING, evidence, step)


def _spread(before: Sequence[Row], now: Row) -> float:
    """Return how far single rewards lie apart, as the steps before say, or where these were all equal the new one.

    Rows of old runs do not say it: then how far the means were from 0.
    """
    known = [row["reward_std"] for row in before if math.isfinite(row.get("reward_std", math.nan))]
    if not known:
        return 2 * max(LEAST_SPREAD, *(abs(row["reward_mean"]) for row in before))
    latest = now.get("reward_std", 0.0)
    return max(math.sqrt(fmean(value * value for value in known)), latest / 3 if math.isfinite(latest) else 0.0)


def _mismatch(rows: Sequence[Row]) -> Finding | None:
    last = [_mismatch_kl(row) for row in rows[-WINDOW:]]
    if len(last) < 3 or median(last) <= MAX_MISMATCH_KL:
        return None
    severity = Severity.ERROR if median(last) > BAD_MISMATCH_KL else Severity.WARNING
    evidence = f"median {median(last):.3g} nats a token over the last {len(last)} steps, at most {MAX_MISMATCH_KL}"
    return found("mismatch_kl", severity, evidence, int(rows[-1]["step"]))


def _old_weights(rows: Sequence[Row]) -> Finding | None:
    """Weights that stay at home: a text shows it; or no disagreement at first, then more with every update."""
    if (finding := _not_followed(rows)) is not None:
        return finding
    kls = [_mismatch_kl(row) for row in rows]
    if len(kls) < 4 or not all(map(math.isfinite, kls)):
        return None
    first, last, half = kls[0], median(kls[-3:]), len(kls) // 2
    is_growing = fmean(kls[half:]) > 2 * fmean(kls[:half]) and last > MAX_MISMATCH_KL
    if first > last / 10 or not is_growing:
        return None
    evidence = f"{first:.2g} nats a token in step {int(rows[0]['step'])}, {last:.2g} now"
    return found("sampler_has_old_weights", Severity.ERROR, evidence, int(rows[-1]["step"]))


def _not_followed(rows: Sequence[Row]) -> Finding | None:
    """A sampler that does not follow the updates: of the last step, or of the last ones taken together."""
    known = [row for row in rows[-WINDOW:] if math.isfinite(row.get("probe_followed", math.nan))]
    for part in (known[-1:], known):
        powers = [row["probe_change"] ** 2 for row in part]
        total = math.fsum(powers)
        if not total:
            continue
        share = math.fsum(power * row["probe_followed"] for power, row in zip(powers, part, strict=True)) / total
        errors = (power * row["probe_error"] for power, row in zip(powers, part, strict=True))
        if is_lost(share, error := math.sqrt(math.fsum(one * one for one in errors)) / total):
            first, last = int(part[0]["step"]), int(part[-1]["step"])
            steps = f"steps {first} to {last}" if first < last else f"step {last}"
            evidence = f"{share:.0%} (give or take {error:.1%}) of what {steps} changed is seen in the sampler"
            return found("sampler_has_old_weights", Severity.ERROR, evidence, last)
    return None


def _mismatch_kl(row: Row) -> float:
    return row.get("mismatch_kl", row.get("kl", math.nan))


def _entropy(rows: Sequence[Row]) -> Finding | None:
    entropies = [row["entropy"] for row in rows if math.isfinite(row.get("entropy", math.nan))]
    if len(entropies) < WINDOW:
        return None
    start, now = fmean(entropies[:5]), fmean(entropies[-3:])
    if now >= max(MIN_ENTROPY, COLLAPSED_SHARE * start):
        return None
    evidence = f"{start:.3g} nats a token at first, {now:.3g} now"
    return found("entropy_collapse", Severity.WARNING, evidence, int(rows[-1]["step"]))


def _share(rows: Sequence[Row], name: FindingName, metric: str, most: float) -> Finding | None:
    values = [row[metric] for row in rows[-WINDOW:] if math.isfinite(row.get(metric, math.nan))]
    if len(values) < WINDOW or fmean(values) <= most:
        return None
    evidence = f"{metric} is {fmean(values):.0%} over the last {len(values)} steps, at most {most:.0%}"
    return found(name, Severity.WARNING, evidence, int(rows[-1]["step"]))


def _stale(rows: Sequence[Row]) -> Finding | None:
    steps = [int(row["step"]) for row in rows if row.get("stale_groups", 0) > 0]
    if not steps:
        return None
    return found("stale_groups", Severity.NOTE, f"steps {', '.join(map(str, steps[:10]))}", steps[-1])


def _not_finite(rows: Sequence[Row]) -> Finding | None:
    bad = [(int(row["step"]), name) for row in rows for name, value in row.items() if not math.isfinite(value)]
    if not bad:
        return None
    evidence = ", ".join(f"{name} in step {step}" for step, name in bad[:6])
    return found("not_finite", Severity.ERROR, f"{len(bad)} numbers: {evidence}", bad[0][0])


def _places(places: Sequence[Sequence[int]], count: int = 6) -> str:
    """Return the first places as files and lines of the run folder."""
    return ", ".join(f"trajectories/step-{step:06d}.jsonl:{line}" for step, line in places[:count])
