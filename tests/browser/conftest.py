"""A real browser, where there is one, and the pages that it visits."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.policies.scripted import ScriptedPolicy, perfect_reader
from inbox_env.questions import Question
from tests.scripts.playground.runs import make_run, viewed
from tests.scripts.playground.served import invented, served


@pytest.fixture(scope="module")  # while it is open, its event loop runs in this thread
def browser() -> Iterator[Any]:
    """Debian's chromium, driven by Playwright."""
    api = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no chromium: apt install chromium")
    with api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def questions(folder: Path) -> list[Question]:
    return invented(folder)[1]


@pytest.fixture(scope="module")
def question(questions: list[Question]) -> Question:
    """A question that one mail answers: the page offers it as an example."""
    return next(question for question in questions if question.kind == "single")


@pytest.fixture(scope="module")
def play_url(folder: Path) -> Iterator[str]:
    """The playground, where the oracle answers."""
    mailbox, questions = invented(folder)
    with served(mailbox, questions, folder, policy="oracle") as url:
        yield url


@pytest.fixture(scope="module")
def run(folder: Path) -> Path:
    return make_run(folder, *invented(folder))


@pytest.fixture(scope="module")
def view_url(run: Path, folder: Path) -> Iterator[str]:
    """The viewer of two runs."""
    second = make_run(folder, *invented(folder), num_steps=1, name="second")
    with viewed(run, second) as url:
        yield url


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where screenshots are kept: name a folder in MAILSLEUTH_SCREENSHOTS to look at them."""
    folder = Path(os.environ.get("MAILSLEUTH_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def acting(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Let every policy of a page that is served in this test be a script."""

    def act(script: Any) -> None:
        policy = ScriptedPolicy("scripted", script, perfect_reader({}))
        monkeypatch.setattr("scripts.playground.policy_shelf.load_policy", lambda spec, gold: policy)

    return act
