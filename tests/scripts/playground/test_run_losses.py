"""What of a source is not shown as it is: torn lines, files not named as their policy, episodes not in an export."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from agent.episode_journal import file_name
from inbox_env.actions import StopReason
from inbox_env.trajectory import Trajectory, write_trajectories
from scripts.cli import main
from scripts.playground import export_html
from scripts.playground.run_source import Source


def episode(name: str) -> Trajectory:
    return Trajectory(
        question_id=name, inbox="i", policy="p", question=f"Where is {name}?", opening="", answer=None, turns=(),
        stop_reason=StopReason.GAVE_UP,
    )  # fmt: skip


def test_a_policy_is_called_by_its_name_whatever_its_file_is_called(tmp_path: Path) -> None:
    name = "keywords-and (perfect reader)"
    write_trajectories(tmp_path / file_name(name), [episode("a")])
    source = Source(tmp_path)
    source.refresh()
    assert source.sets()[0]["name"].startswith("keywords-and_perfect_reader"), "no summary yet"
    (tmp_path / "summary.json").write_text(json.dumps({"policies": [{"name": name}]}), encoding="utf-8")
    again = Source(tmp_path)
    again.refresh()
    assert [one["name"] for one in again.sets()] == [name]


def test_an_export_says_what_was_lost_and_how_to_get_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "torn.jsonl", tmp_path / "page.html"
    write_trajectories(path, [episode(name) for name in "abcdef"])
    os.truncate(path, path.stat().st_size - 9)
    os.utime(path, (0, 0))
    monkeypatch.setattr(export_html, "MAX_EXPORTED", 3)
    assert main(["view", str(path), "--export", str(out)]) == 0
    said = capsys.readouterr()
    assert "torn.jsonl: the last line was cut off" in said.err
    assert "3 of 5 episodes" in said.out
    assert "--skip 3" in said.out
    assert "the last line was cut off" in out.read_text(encoding="utf-8").partition("<script")[0]
    assert main(["view", str(path), "--export", str(out), "--skip", "3"]) == 0
    rest = capsys.readouterr().out
    assert "2 of 5 episodes" in rest
    assert "--skip" not in rest, "nothing is left"
    assert main(["view", str(path), "--export", str(out), "--skip", "5"]) == 2
