"""A policy is loaded once however many ask for it and leave, and again when loading it failed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from agent.policies.demonstrator import oracle
from inbox_env.errors import UsageError
from scripts.playground.policy_shelf import PolicyShelf


class Loader:
    """Stands for `load_policy`: counts the loads, each of which waits for `may_end`."""

    def __init__(self) -> None:
        self.num_loads = 0
        self.may_end = threading.Event()
        self.failure: Exception | None = None

    def __call__(self, spec: str, gold: Any) -> Any:
        self.num_loads += 1
        assert self.may_end.wait(10)
        if self.failure:
            raise self.failure
        return oracle({})


@pytest.fixture
def loader(monkeypatch: pytest.MonkeyPatch) -> Loader:
    loader = Loader()
    monkeypatch.setattr("scripts.playground.policy_shelf.load_policy", loader)
    return loader


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.sleep(0.001)


async def test_those_who_leave_while_it_is_loaded_do_not_load_it_again(loader: Loader) -> None:
    shelf = PolicyShelf({})
    for _ in range(5):
        asking = asyncio.create_task(shelf.get("local:x"))
        await until(lambda: loader.num_loads == 1)
        asking.cancel()
        await asyncio.wait([asking])
        assert asking.cancelled()
    assert not shelf.is_loaded("local:x")
    staying = [asyncio.create_task(shelf.get("local:x")) for _ in range(3)]
    loader.may_end.set()
    policies = await asyncio.gather(*staying)
    assert loader.num_loads == 1
    assert shelf.is_loaded("local:x")
    assert all(policy is policies[0] for policy in (*policies, await shelf.get("local:x")))


async def test_what_could_not_be_loaded_is_tried_again(loader: Loader) -> None:
    shelf = PolicyShelf({})
    loader.may_end.set()
    loader.failure = UsageError(1, "no model here")
    for _ in range(2):
        with pytest.raises(UsageError, match="no model here"):
            await shelf.get("local:x")
        assert not shelf.is_loaded("local:x")
    loader.failure = None
    await shelf.get("local:x")
    assert loader.num_loads == 3
