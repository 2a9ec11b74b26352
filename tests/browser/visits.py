"""Visits of a page by a browser: each in a window of its own that may not complain, nor ask another host."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from inbox_env.trajectory import read_trajectories

STEP_1 = "trajectories%2Fstep-000001.jsonl"
PLACES = {  # of the viewer: path, and what is there once it is drawn
    "list": ("0", ".run-list .row"),
    "replay": (f"0/episode/{STEP_1}/1", ".scrub"),
    "tokens": (f"0/tokens/{STEP_1}/1", ".token-text"),
    "group": (f"0/group/{STEP_1}/1", ".member"),
    "pair": (f"0/pair/{STEP_1}/1/1/{STEP_1}/2", ".pair .scrub"),
}


@contextmanager
def visit(
    browser: Any, address: str, wait: str = ".composer", followed: Sequence[str] = (), **options: Any
) -> Iterator[Any]:
    """Yield the page at `address`, once `wait` is there; fails on errors, dialogs, and requests to elsewhere.

    Addresses of `followed` may be asked for.
    """
    context = browser.new_context(**options)
    page = context.new_page()
    complaints: list[str] = []
    home = address.partition("/#")[0]
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
    context.on("request", lambda request: request.url.startswith((home, *followed)) or complaints.append(request.url))
    page.goto(address)
    page.wait_for_selector(wait)
    try:
        yield page
    finally:
        context.close()
    assert complaints == []


@contextmanager
def view(browser: Any, url: str, place: str = "0", wait: str = ".run-list .row", **options: Any) -> Iterator[Any]:
    """Yield a place of the viewer at `url`."""
    with visit(browser, f"{url}/#/runs/{place}", wait, reduced_motion="reduce", **options) as page:
        yield page


def slowly(page: Any, path: str) -> None:
    """Let answers to this path come a second late."""
    page.route(path, lambda route: (time.sleep(1), route.continue_()))


def open_next_mail(page: Any) -> None:
    page.wait_for_selector(".pane.inbox [role=option]")
    page.locator("header").first.click(position={"x": 300, "y": 10})
    page.keyboard.press("j")
    page.keyboard.press("o")
    page.wait_for_selector(".pane.mail h2")


def ask(page: Any, text: str, wait: str = ".ending") -> None:
    """Ask a question in one's own words."""
    page.get_by_role("textbox", name="Question").fill(text)
    page.get_by_role("textbox", name="Question").press("Enter")
    page.wait_for_selector(wait)


def ask_example(page: Any, text: str, wait: str = ".score") -> None:
    """Ask one of the examples that the page offers."""
    page.get_by_role("button", name=text).click()
    page.get_by_role("textbox", name="Question").press("Enter")
    page.wait_for_selector(wait)


def best_episode(run: Path) -> int:
    """Return the line of an episode of step 1 that searched or opened mails and was right."""
    played = list(read_trajectories(run / "trajectories" / "step-000001.jsonl"))
    return next(line for line, one in enumerate(played, 1) if one.reward and one.reward > 1 and one.turns[0].results)


def serious(page: Any, *rules: str) -> list[tuple[str, list[str]]]:
    """Return what axe finds serious on the page (of `rules` alone, if any); the visit needs `bypass_csp=True`."""
    axe = pytest.importorskip("axe_playwright_python.base").AXE_FILE_PATH
    page.evaluate(Path(axe).read_text(encoding="utf-8"))
    found = page.evaluate("rules => axe.run(rules.length ? { runOnly: rules } : {})", list(rules))["violations"]
    return [
        (one["id"], [node["html"][:160] for node in one["nodes"][:3]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
