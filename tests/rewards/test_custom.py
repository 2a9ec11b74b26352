"""A reward of one's own: found by name or by file, and refused in one line when it cannot be called."""

from __future__ import annotations

import pytest

from inbox_env.errors import ExitCode, UsageError
from rewards.custom import load_reward_function
from rewards.grader import grade

HEAD = "from rewards.base import Reward\n"


def load(tmp_path, source, name="reward"):
    path = tmp_path / "own.py"
    path.write_text(HEAD + source)
    return load_reward_function(f"{path}:{name}")


@pytest.mark.parametrize(
    "source",
    [
        "def reward(trajectory, question): return Reward.of({'turns': -len(trajectory.turns)})",
        "def reward(trajectory, question) -> Reward: return Reward.of({'turns': -len(trajectory.turns)})",
        "def reward(trajectory, question, weight=1) -> 'Reward': return Reward.of({'turns': -len(trajectory.turns)})",
        "class Mine:\n def __call__(self, t, q): return Reward.of({'turns': -len(t.turns)})\nreward = Mine()",
    ],
)
def test_a_function_of_a_file_rewards(build, tmp_path, source):
    reward = load(tmp_path, source)(build.play(build.search("a"), answer="x"), build.answerable)
    assert reward.value == -2


def test_a_function_of_a_module_rewards(build, tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(HEAD + "def reward(trajectory, question): return Reward.of({'one': 1})")
    monkeypatch.syspath_prepend(tmp_path)
    assert load_reward_function("mine:reward")(build.play(), build.answerable).value == 1


@pytest.mark.parametrize(
    ("source", "name", "words"),
    [
        ("def reward(trajectory): ...", "reward", "another signature"),
        ("def reward(trajectory, question, more): ...", "reward", "another signature"),
        ("def reward(*, trajectory, question): ...", "reward", "another signature"),
        ("def reward(trajectory, question) -> float: ...", "reward", "returns something else"),
        ("async def reward(trajectory, question): ...", "reward", "returns something else"),
        ("reward = 3", "reward", "no function 'reward'"),
        ("def reward(t, q): ...", "other", "no function 'other'"),
        ("import no_such_package", "reward", "cannot import"),
        ("1 / 0", "reward", "raised ZeroDivisionError"),
        ("def reward(", "reward", "raised SyntaxError"),
    ],
)
def test_what_cannot_be_called_is_refused_in_one_line(tmp_path, source, name, words):
    with pytest.raises(UsageError, match=words) as failure:
        load(tmp_path, source, name)
    assert failure.value.exit_code == ExitCode.USAGE
    assert "\n" not in failure.value.line()


@pytest.mark.parametrize("spec", ["", "reward", "no.such.module:f", "no/such/file.py:f", "a:b:c d", ":f"])
def test_what_is_not_there_is_refused(spec):
    with pytest.raises(UsageError):
        load_reward_function(spec)


def test_what_it_raises_is_one_line_without_mail_and_what_is_no_number_is_masked(build, tmp_path):
    broken = load(tmp_path, "def reward(trajectory, question): raise KeyError(trajectory.answer)")
    with pytest.raises(UsageError, match="raised KeyError") as failure:
        broken(build.play(answer="a secret of the mail"), build.answerable)
    assert "secret" not in failure.value.line()
    wild = load(tmp_path, "def reward(trajectory, question): return Reward(float('nan'))")
    reward, is_bad = grade(wild, build.play(), build.answerable)
    assert (reward.value, is_bad) == (None, True)
