"""A reward of one's own: `package.module:function`, or `path/to/file.py:function`.

    def reward(trajectory: Trajectory, question: Question) -> Reward: ...

The function is imported and its signature checked before anything else is done. It reads a finished episode and
returns a `rewards.base.Reward`; for what it cannot score, `Reward.unscorable(reason)`. Where a judge is configured,
`trajectory.verdict` is there already. It never sees an episode that an outage ended: such a one is masked.
Knows nothing of what the function computes.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from inbox_env.errors import UsageError
from inbox_env.questions import Question
from inbox_env.trajectory import Trajectory
from rewards.base import NotFiniteError, Reward, RewardFn

_FORM = "write package.module:function or path/to/file.py:function"
_SIGNATURE = "it is called as reward(trajectory, question) and returns a Reward"


def load_reward_function(spec: str) -> RewardFn:
    """Return the function that `spec` names; raises UsageError when it is not there or cannot be called so."""
    place, _, name = spec.rpartition(":")
    if not place or not name.isidentifier():
        raise UsageError(81, f"not a reward function: {spec!r}", next_step=_FORM)
    function = getattr(_module(place), name, None)
    if not callable(function):
        raise UsageError(82, f"no function {name!r} to reward with", where=place, next_step=_FORM)
    _check_signature(function, spec)

    def reward(trajectory: Trajectory, question: Question) -> Reward:
        try:
            result: Reward = function(trajectory, question)
        except NotFiniteError:
            raise
        except Exception as error:  # its text may hold mail
            what = f"the reward function raised {type(error).__name__}"
            raise UsageError(83, what, where=spec, next_step="mend it; --debug shows where") from error
        return result

    return reward


def _module(place: str) -> ModuleType:
    is_file = place.endswith(".py")
    try:
        return _from_file(Path(place)) if is_file else importlib.import_module(place)
    except FileNotFoundError as error:
        raise UsageError(84, "no such file to reward with", where=place, next_step=_FORM) from error
    except ImportError as error:
        what = f"cannot import the reward function: {error.msg}"
        raise UsageError(85, what, where=place, next_step=_FORM) from error
    except Exception as error:
        what = f"the file of the reward function raised {type(error).__name__}"
        raise UsageError(86, what, where=place, next_step="mend it; --debug shows where") from error


def _from_file(path: Path) -> ModuleType:
    """Return the module of a file; it is not entered in sys.modules, and no folder becomes importable by it."""
    if not path.is_file():
        raise FileNotFoundError(path)
    found = importlib.util.spec_from_file_location(f"reward_{path.stem}", path)
    if found is None or found.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def _check_signature(function: Callable[..., Any], spec: str) -> None:
    try:
        signature = inspect.signature(function)
        signature.bind(object(), object())
    except TypeError as error:
        raise UsageError(87, "the reward function has another signature", where=spec, next_step=_SIGNATURE) from error
    returned = signature.return_annotation
    is_reward = returned in (inspect.Signature.empty, Reward) or str(returned).rpartition(".")[2] == "Reward"
    if inspect.iscoroutinefunction(function) or not is_reward:
        raise UsageError(88, "the reward function returns something else", where=spec, next_step=_SIGNATURE)
