"""What a run folder's numbers, trajectories and checkpoints say about whether to believe it: `mailsleuth doctor RUN`.

Reads only; a run may go on meanwhile. Knows nothing of mailboxes.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean, pstdev
from typing import TYPE_CHECKING

from pydantic import ValidationError

from agent.grpo.doctor import Row, examine_metrics, examine_steps
from agent.grpo.findings import Finding, Severity, found
from agent.grpo.metrics import read_metrics
from inbox_env.errors import CorruptError, ExitCode, MailsleuthError, UpstreamError, UsageError
from inbox_env.trajectory import Trajectory
from scripts.terminal import plural, safe_line

if TYPE_CHECKING:
    from agent.chat_format import ChatFormat

_DAMAGE = ("records_unreadable", "damaged_checkpoint")
_BEST = 3  # trajectories that a jump names


def report_run(path: Path, *, as_json: bool) -> int:
    """Print the findings, one JSON object a line if asked; returns the exit code."""
    findings, unchecked = examine(path)
    for finding in findings:
        print(finding.model_dump_json() if as_json else _lines(finding))
    for note in unchecked:
        print(f"not rechecked: {safe_line(note)}", file=sys.stderr if as_json else sys.stdout)
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
    return examine(path)[0]


def examine(path: Path) -> tuple[list[Finding], list[str]]:
    """Return the same, and what its files do not let be judged anew."""
    if not (path / "config.json").is_file():
        raise UsageError(85, "not a run folder", where=str(path), next_step="give a folder inside data/runs")
    rows = list(_rows(path))
    steps, findings = _read_steps(path, rows)
    findings += [_named(finding, steps) for finding in examine_metrics(_with_spreads(rows, steps))]
    findings += examine_steps(steps) + _gaps(path, rows, steps) + _disagreements(rows, steps, _group_size(path))
    rechecked, unchecked = _recheck(path, steps) if rows else ([], [])
    findings += [finding for finding in rechecked if finding.name not in {other.name for other in findings}]
    findings += _checkpoints(path) + _said_live(path, rows, {finding.name for finding in findings})
    if rows and not any("probe_followed" in row for row in rows):
        unchecked.append("whether new weights reached the sampler: no step says how it followed")
    worst_first = [Severity.ERROR, Severity.WARNING, Severity.NOTE]
    return sorted(findings, key=lambda finding: worst_first.index(finding.severity)), unchecked


def _with_spreads(rows: Sequence[Row], steps: dict[int, list[Trajectory]]) -> list[Row]:
    """Return the rows with the spread of their rewards: old runs do not say it, but their trajectories do."""
    spreads = {}
    for step, played in steps.items():
        rewards = [trajectory.reward for trajectory in played if trajectory.reward is not None]
        spreads[step] = {"reward_std": pstdev(rewards)} if rewards else {}
    return [{**spreads.get(int(row["step"]), {}), **row} for row in rows]


def _recheck(path: Path, steps: dict[int, list[Trajectory]]) -> tuple[list[Finding], list[str]]:
    """Hold the kept tokens against the trajectories once more, by the tokenizer that the run names."""
    from agent.grpo.recheck import recheck_tokens

    if not steps:
        return [], ["tokens and groups: there are no trajectories of steps"]
    try:
        chat = _chat(path)
    except (UsageError, CorruptError, UpstreamError, ValidationError) as error:
        why = str(error).splitlines()[0] if isinstance(error, MailsleuthError) else "its configuration is not readable"
        return [], [f"tokens of all steps: the run's tokenizer cannot be read ({why})"]
    return recheck_tokens(path, steps, chat)


def _chat(path: Path) -> ChatFormat:
    """Return the chat format of the model that the run saved, or else of the one it started from."""
    from agent.chat_format import ChatFormat
    from agent.grpo.config import TrainConfig
    from agent.model_folder import model_folder_of
    from agent.model_loading import find_model

    config = TrainConfig.model_validate_json((path / "config.json").read_text(encoding="utf-8")).model
    kept = path / "model"
    folder = kept if kept.is_dir() else model_folder_of(find_model(config.path))
    return ChatFormat.load(folder, config.enable_thinking)


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


def _group_size(path: Path) -> int:
    """Return the size of the run's groups, or 1 where its configuration does not say."""
    try:
        return max(1, int(json.loads((path / "config.json").read_text(encoding="utf-8"))["grpo"]["group_size"]))
    except (ValueError, KeyError, TypeError):
        return 1


def _disagreements(rows: Sequence[Row], steps: dict[int, list[Trajectory]], group_size: int) -> list[Finding]:
    """Rewards, their spread, sampled tokens and what was cut are in both records."""
    from agent.grpo.groups import CUT
    from agent.grpo.recheck import group_shares

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
        shares = {"truncated_fraction": fmean(one.stop_reason in CUT for one in played)} if played else {}
        for name, share in (shares | (group_shares(played, group_size) if group_size > 1 else {})).items():
            if not math.isclose(share, row.get(name, share), abs_tol=1e-6):
                differing.append(f"step {int(row['step'])}: {name} {row[name]:.3f} and {share:.3f}")
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
