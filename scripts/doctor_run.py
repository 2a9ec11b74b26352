"""What a run folder's numbers, trajectories and checkpoints say about whether to believe it: `mailsleuth doctor RUN`.

Reads only; a run may go on meanwhile. Knows nothing of mailboxes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from pydantic import ValidationError

from agent.grpo.doctor import Row, examine_metrics, examine_steps
from agent.grpo.findings import Finding, Severity, found
from agent.grpo.metrics import read_metrics
from inbox_env.errors import CorruptError, ExitCode, UsageError
from inbox_env.trajectory import Trajectory
from scripts.terminal import plural, safe_line

_DAMAGE = ("records_unreadable", "damaged_checkpoint")
_BEST = 3  # trajectories that a jump names


def report_run(path: Path, *, as_json: bool) -> int:
    """Print the findings, one JSON object a line if asked; returns the exit code."""
    findings = examine_run(path)
    for finding in findings:
        print(finding.model_dump_json() if as_json else _lines(finding))
    if not as_json:
        num_steps = sum(1 for _ in _rows(path))
        found = f"{plural(len(findings), 'finding')} in {plural(num_steps, 'step')}"
        print(f"{path}: {found if findings else 'healthy'}")
    return exit_code(findings)


def exit_code(findings: Sequence[Finding]) -> int:
    """Return what the process returns for these findings."""
    if any(finding.name in _DAMAGE for finding in findings):
        return int(ExitCode.CORRUPT)
    is_ill = any(finding.severity is not Severity.NOTE for finding in findings)
    return int(ExitCode.REJECTS if is_ill else ExitCode.OK)


def examine_run(path: Path) -> list[Finding]:
    """Return everything found in a run folder, the worst first; raises UsageError when it is none."""
    if not (path / "config.json").is_file():
        raise UsageError(85, "not a run folder", where=str(path), next_step="give a folder inside data/runs")
    rows = list(_rows(path))
    steps, findings = _read_steps(path, rows)
    findings += [_named(finding, steps) for finding in examine_metrics(rows)]
    findings += examine_steps(steps) + _gaps(path, rows, steps) + _disagreements(rows, steps)
    findings += _checkpoints(path) + _said_live(path, rows, {finding.name for finding in findings})
    worst_first = [Severity.ERROR, Severity.WARNING, Severity.NOTE]
    return sorted(findings, key=lambda finding: worst_first.index(finding.severity))


def _rows(path: Path) -> Iterator[Row]:
    """A run that has not taken a step yet has no metrics."""
    metrics = path / "metrics.jsonl"
    return read_metrics(metrics) if metrics.is_file() else iter(())


def _read_steps(path: Path, rows: Sequence[Row]) -> tuple[dict[int, list[Trajectory]], list[Finding]]:
    """Return the trajectories of the steps that have a row; later ones are a step that was not finished."""
    last, steps, findings = (int(rows[-1]["step"]) if rows else 0), {}, []
    for file in sorted((path / "trajectories").glob("step-*.jsonl")):
        number = file.stem.removeprefix("step-")
        if not number.isdecimal() or int(number) > last:
            continue
        trajectories: list[Trajectory] = []
        try:
            for line in file.read_text(encoding="utf-8").splitlines():
                trajectories.append(Trajectory.model_validate_json(line))
        except (ValidationError, UnicodeDecodeError):
            where = f"trajectories/{file.name}:{len(trajectories) + 1}"
            findings.append(found("records_unreadable", Severity.ERROR, where, int(number)))
            continue
        steps[int(number)] = trajectories
    return steps, findings


def _gaps(path: Path, rows: Sequence[Row], steps: dict[int, list[Trajectory]]) -> list[Finding]:
    numbers = [int(row["step"]) for row in rows]
    missing = sorted(set(range(1, numbers[-1] + 1)) - set(numbers)) if numbers else []
    findings = []
    if missing:
        evidence = f"metrics.jsonl lacks steps {_list(missing)}"
        findings.append(found("records_missing", Severity.WARNING, evidence, missing[0]))
    unplayed = [number for number in numbers if not (path / f"trajectories/step-{number:06d}.jsonl").is_file()]
    if steps and unplayed:
        evidence = f"no trajectories of steps {_list(unplayed)}"
        findings.append(found("records_missing", Severity.WARNING, evidence, unplayed[0]))
    return findings


def _disagreements(rows: Sequence[Row], steps: dict[int, list[Trajectory]]) -> list[Finding]:
    """Rewards and sampled tokens are in both records."""
    differing = []
    for row in rows:
        played = steps.get(int(row["step"]))
        if played is None:
            continue
        rewards = [trajectory.reward for trajectory in played if trajectory.reward is not None]
        num_tokens = sum(turn.num_tokens for trajectory in played for turn in trajectory.turns)
        mean = fmean(rewards) if rewards else 0.0
        if not math.isclose(mean, row.get("reward_mean", mean), abs_tol=1e-6):
            differing.append(f"step {int(row['step'])}: reward {row['reward_mean']:+.3f} and {mean:+.3f}")
        if num_tokens != row.get("generated_tokens", num_tokens):
            differing.append(f"step {int(row['step'])}: {row['generated_tokens']:.0f} and {num_tokens} sampled tokens")
    if not differing:
        return []
    return [found("records_disagree", Severity.ERROR, "; ".join(differing[:5]))]


def _checkpoints(path: Path) -> list[Finding]:
    from agent.grpo.checkpoint import PREFIX, verify_checkpoint

    findings = []
    for folder in sorted((path / "checkpoints").glob(f"{PREFIX}*[0-9]")):
        try:
            verify_checkpoint(folder)
        except CorruptError as error:
            findings.append(found("damaged_checkpoint", Severity.ERROR, f"checkpoints/{folder.name}: {error.what}"))
    return findings


def _said_live(path: Path, rows: Sequence[Row], known: set[str]) -> list[Finding]:
    """What was seen while the run went on and can no longer be seen: the tokens are gone. The last of each kind."""
    file, last = path / "doctor.jsonl", int(rows[-1]["step"]) if rows else 0
    if not file.is_file():
        return []
    findings: dict[str, Finding] = {}
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            finding = Finding.model_validate_json(line)
        except ValidationError:
            break  # torn by a kill
        if finding.step <= last and finding.name not in known:
            findings[finding.name] = finding
    return list(findings.values())


def _named(finding: Finding, steps: dict[int, list[Trajectory]]) -> Finding:
    """Return a jump with the lines of the rollouts that earned most in its step."""
    played = steps.get(finding.step)
    if finding.name != "reward_jump" or not played:
        return finding
    lines = sorted(range(len(played)), key=lambda line: -(played[line].reward or 0.0))[:_BEST]
    names = ", ".join(f"trajectories/step-{finding.step:06d}.jsonl:{line + 1}" for line in lines)
    return finding.model_copy(update={"evidence": f"{finding.evidence}; highest: {names}"})


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:8])) + (" ..." if len(numbers) > 8 else "")


def _lines(finding: Finding) -> str:
    texts = (finding.what_it_means, f"do: {finding.what_to_do}", f"see: {finding.evidence}")
    return "\n".join([f"{finding.severity.upper()} {finding.name}", *(f"  {safe_line(text)}" for text in texts)])
