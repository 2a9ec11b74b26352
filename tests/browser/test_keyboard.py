"""The keyboard in a real browser: every key that the help lists does what it says."""

from __future__ import annotations

from tests.browser.visits import STEP_1, open_next_mail, slowly, view, visit
from tests.scripts.playground.runs import GROUP_SIZE


def test_the_keyboard_is_enough(browser, play_url) -> None:
    with visit(browser, play_url) as page:
        open_next_mail(page)
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.type") == "search"
        page.keyboard.type("zzzzqqq")
        page.get_by_text("Nothing found").first.wait_for()
        page.keyboard.press("Escape")
        page.keyboard.press("Control+k")
        page.keyboard.type("take the agent")
        page.keyboard.press("Enter")
        page.wait_for_selector(".notice:not(:empty)")
        page.locator("body").click(position={"x": 700, "y": 20})
        page.keyboard.press("?")
        assert page.locator("dialog[open]").count() == 1


def test_every_key_is_in_the_help_and_every_way_in_the_palette(browser, view_url) -> None:
    with view(browser, view_url, f"0/episode/{STEP_1}/1", ".scrub") as page:
        page.keyboard.press("?")
        told = page.locator("dialog.help kbd").all_inner_texts()
        assert {"→", "←", "Home", "End", "Space", "[", "]", "j", "k", "g", "t", "c", "x", "u", "?"} <= set(told)
        page.keyboard.press("Escape")
        page.keyboard.press("Control+k")
        commands = page.locator("dialog.palette li").all_inner_texts()
        assert any("Export this episode" in text for text in commands)
        assert sum("of the group" in text for text in commands) == GROUP_SIZE


def test_a_key_is_heard_before_everything_has_come(browser, view_url) -> None:
    with view(browser, view_url) as page:
        slowly(page, "**/mails?*")
        page.goto("about:blank")
        page.goto(f"{view_url}/#/runs/0/episode/{STEP_1}/2")
        page.wait_for_selector(".scrub")
        page.keyboard.press("g")
        page.wait_for_selector(".member", timeout=5000)
