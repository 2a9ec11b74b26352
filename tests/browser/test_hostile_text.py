"""Hostile text in a real browser: shown as it is, never run."""

from __future__ import annotations

import asyncio
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.policies.scripted import ScriptedPolicy, answer, perfect_reader
from agent.rollout import rollout
from inbox_env.actions import Action, ToolCall
from inbox_env.env import EnvLimits, InboxEnv
from inbox_env.inbox import Inbox
from inbox_env.trajectory import Trajectory, write_trajectories
from scripts.playground.export_html import as_data
from scripts.unlabelled import unlabelled
from tests.browser.hostile_text import FORBIDDEN, HOSTILE
from tests.browser.visits import ask, open_next_mail, view, visit
from tests.scripts.playground.runs import viewed
from tests.scripts.playground.served import hostile, served

RUNNING = "main :is(script, style, link, base, meta, img, iframe, form:not(.composer), video, object, svg:not(.icon))"
SHOWN = "<script>window.__ran = true</script>"


def obey_nothing(opening: Any, random: Any) -> Any:
    """Search, open, answer and cite with hostile text in every argument."""
    yield Action(tuple(ToolCall("search_emails", {"keywords": [text], "from_addr": text}) for text in HOSTILE), SHOWN)
    yield Action((ToolCall("read_email", {"id": HOSTILE[-1], HOSTILE[0]: HOSTILE[-1]}),))
    yield Action((ToolCall("read_email", {"id": 1}),))
    yield answer("\n".join(HOSTILE), [1, HOSTILE[0]])


def check_nothing_ran(page: Any) -> None:
    page.wait_for_timeout(50)
    assert page.evaluate("window.__ran") is None
    assert page.locator(RUNNING).count() == 0
    shown = page.evaluate("document.querySelector('main').textContent")
    assert [character for character in FORBIDDEN if character in shown] == []


def test_f66_hostile_mail_and_names_of_its_files_are_shown_and_never_run(browser, folder, tmp_path) -> None:
    with served(hostile(folder, HOSTILE), [], tmp_path) as url, visit(browser, url) as page:
        shown = []
        for _ in HOSTILE:
            open_next_mail(page)
            shown.append(page.inner_text(".pane.mail .attachments"))
        check_nothing_ran(page)
        assert any(SHOWN in text for text in shown)
        page.fill("input[type=search]", "needle")
        page.locator(".list-status", has_text="found").wait_for()
        check_nothing_ran(page)


def test_f66_f68_hostile_answers_and_arguments_are_shown_and_never_run(browser, folder, acting, tmp_path) -> None:
    acting(obey_nothing)
    with (
        served(hostile(tmp_path, HOSTILE), [], tmp_path, policy="scripted") as url,
        visit(browser, url) as page,
    ):
        ask(page, HOSTILE[1], ".ending")
        assert HOSTILE[1] in page.inner_text(".asked")
        check_answer(page)


def check_answer(page: Any) -> None:
    """Everything that the policy of `obey_nothing` said is there as text."""
    said = page.text_content(".ending .answer")
    assert [text for text in HOSTILE[:-1] if text not in said] == []
    assert "gnp.exe" in said
    chips = page.locator(".card.search .chip").all_text_contents()
    assert SHOWN in chips
    assert f"from {SHOWN}" in chips
    assert SHOWN in page.locator(".said").first.text_content()
    assert page.locator(".card").count() > len(HOSTILE)
    assert SHOWN in page.text_content(".ending")
    for summary in page.locator(".raw summary").all():
        summary.evaluate("one => one.click()")
    check_nothing_ran(page)


@pytest.mark.parametrize("has_mail", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_f66_f68_the_viewer_shows_hostile_episodes_and_runs_nothing(browser, tmp_path, has_mail) -> None:
    mailbox = hostile(tmp_path, HOSTILE)
    episodes = tmp_path / "episodes.jsonl"
    write_trajectories(episodes, [played(mailbox, obey_nothing, " ".join(HOSTILE))] * 2)
    place = "episodes.jsonl"
    with viewed(episodes, mailbox=mailbox if has_mail else None) as url:
        with view(browser, url) as page:
            assert SHOWN in page.inner_text(".run-list .row")
            check_nothing_ran(page)
        with view(browser, url, f"0/episode/{place}/1", ".scrub") as page:
            page.keyboard.press("End")
            check_answer(page)
            page.keyboard.press("ArrowLeft")
            check_nothing_ran(page)
        with view(browser, url, f"0/group/{place}/1", ".member") as page:
            assert SHOWN in page.inner_text(".member")
            check_nothing_ran(page)
        with view(browser, url, f"0/pair/{place}/1/0/{place}/2", ".pair .scrub") as page:
            check_nothing_ran(page)


def played(mailbox: Path, script: Any, text: str) -> Trajectory:
    """Return the episode of a script."""
    inbox = Inbox.open(mailbox, "me")
    env = InboxEnv(inbox, unlabelled("q", text, "me", inbox.last_day), EnvLimits())
    policy = ScriptedPolicy(SHOWN, script, perfect_reader({}))
    with ThreadPoolExecutor(1) as pool:  # a driven browser has an event loop in this thread
        return pool.submit(lambda: asyncio.run(rollout(policy, env))).result().trajectory


def test_f66_an_exported_file_runs_nothing_that_it_holds(browser, view_url, tmp_path) -> None:
    text = httpx.get(f"{view_url}/api/runs/0/export").raise_for_status().text
    data = json.loads(re.search(r'id="episodes">(.*?)</script>', text, re.DOTALL)[1])
    everything = " ".join(HOSTILE)
    for episode in data["episodes"]:
        episode["item"]["question"] = everything
        for mail in episode["mails"].values():
            mail["subject"] = mail["body"] = everything
    parts = re.split(r'(?<=id="episodes">).*?(?=</script>)', text, maxsplit=1, flags=re.DOTALL)
    exported = tmp_path / "hostile.html"
    exported.write_text(parts[0] + as_data(data) + parts[1], encoding="utf-8")
    with visit(browser, exported.as_uri(), wait=".scrub") as page:
        page.keyboard.press("End")
        page.wait_for_selector(".pane.mail h2")
        assert everything in page.text_content(".pane.mail .body")
        assert page.evaluate("window.__ran") is None
        assert page.locator(".pane :is(img, script, style, iframe, video, form)").count() == 0
