"""Hostile text in a real browser: shown as it is, never run."""

from __future__ import annotations

import json
import re

import httpx

from scripts.playground.export_html import as_data
from tests.browser.hostile_text import HOSTILE
from tests.browser.visits import open_next_mail, visit
from tests.scripts.playground.served import hostile, served


def test_hostile_mail_is_shown_and_never_run(browser, folder, tmp_path) -> None:
    with served(hostile(folder, HOSTILE), [], tmp_path) as url, visit(browser, url) as page:
        for _ in HOSTILE:
            open_next_mail(page)
        page.fill("input[type=search]", "needle")
        page.wait_for_timeout(300)
        assert page.evaluate("window.__ran") is None
        assert page.locator(".pane.mail script, .pane.mail img, .pane.mail iframe, .pane.mail form").count() == 0
        body = page.inner_text(".pane.mail")
        assert "\x1b" not in body
        assert "\u202e" not in body


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
