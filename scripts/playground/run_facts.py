"""What a run says of itself beside its curves: policies before and after, and what the doctor found.

Whatever is missing or damaged is left out: the files are written while somebody looks. Knows nothing of HTTP.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agent.grpo.findings import Finding
from agent.grpo.live_doctor import FILE
from scripts.terminal import safe_line

MAX_FINDINGS = 50
MAX_POLICY_CHARS = 80


def run_facts(folder: Path) -> dict[str, Any]:
    """Return the policies of `summary.json`, the best first, and the newest findings of `doctor.jsonl`."""
    return {"policies": list(_policies(folder / "summary.json")), "findings": list(_findings(folder / FILE))}


def policy_names(folder: Path) -> list[str]:
    """Return what the summary of a run or of a benchmark calls its policies."""
    try:
        return [str(row["name"]) for row in json.loads((folder / "summary.json").read_bytes())["policies"]]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _policies(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        return
    from scripts.report_views import ROLE_WORDS, in_order  # with scipy: too slow to wait for before the page is there
    from scripts.run_folder import Summary

    try:
        summary = Summary.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return
    for policy in in_order(summary.policies):
        yield {
            "name": safe_line(policy.name, MAX_POLICY_CHARS),
            "role": ROLE_WORDS[policy.role],
            "split": safe_line(policy.split, 40),
            "num_questions": policy.num_questions,
            "accuracy": policy.accuracy,
            "ci95": policy.ci95,
            "mean_turns": policy.mean_turns,
        }


def _findings(path: Path) -> Iterator[dict[str, Any]]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return
    for line in lines[-MAX_FINDINGS:]:
        try:
            found = Finding.model_validate_json(line)
        except ValidationError:
            continue  # torn: it is being written
        yield {
            "name": found.name.replace("_", " "),
            "severity": found.severity.value,
            "step": found.step,
            "evidence": safe_line(found.evidence, 300),
            "advice": safe_line(found.what_to_do, 300),
        }
