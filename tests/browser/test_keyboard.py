"""The keyboard in a real browser: every key that the help lists does what it says, and no mouse is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.visits import STEP_1, open_next_mail, slowly, view, visit
from tests.scripts.playground.runs import GROUP_SIZE

Check = Callable[[Any], None]


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def row_chosen(page: Any) -> int:
    """Return which row of the list is chosen, from 1; 0: none."""
    chosen = page.locator(".scroller [role=option][aria-selected=true]")
    return int(chosen.get_attribute("aria-posinset")) if chosen.count() else 0


def is_focused(page: Any, selector: str) -> bool:
    return bool(page.evaluate("selector => document.activeElement.matches(selector)", selector))


def help_opens(page: Any) -> None:
    press(page, "?")
    assert page.locator("dialog.help[open]").count() == 1
    press(page, "Escape")
    assert page.locator("dialog[open]").count() == 0


def palette_opens(page: Any) -> None:
    press(page, "Control+k")
    assert is_focused(page, "dialog.palette input")
    press(page, "Control+k")
    assert page.locator("dialog[open]").count() == 0


def search_is_focused(page: Any) -> None:
    press(page, "/")
    assert is_focused(page, "input[type=search]")


def next_is_chosen(page: Any) -> None:
    press(page, "j", "j")
    assert row_chosen(page) == 2


def previous_is_chosen(page: Any) -> None:
    press(page, "j", "j", "k")
    assert row_chosen(page) == 1


def mail_opens_by(key: str) -> Check:
    def check(page: Any) -> None:
        press(page, "j", "j", key)
        subject = page.locator(".scroller [aria-selected=true] .subject").inner_text()
        page.locator(".pane.mail h2", has_text=subject).wait_for()

    return check


def back_to_the_inbox(page: Any) -> None:
    press(page, "j", "o")
    page.wait_for_selector(".desk[data-pane=mail] .pane.mail h2")
    press(page, "u")
    assert is_focused(page, ".pane.inbox .scroller")
    assert page.get_attribute(".desk", "data-pane") == "inbox"


def question_is_focused(page: Any) -> None:
    press(page, "a")
    assert is_focused(page, ".composer textarea")


def turn_is_chosen_by(key: str) -> Check:
    """Three turns were played: `[` goes back from the last one, `]` on from the first."""

    def check(page: Any) -> None:
        asked_by_the_demonstrator(page)
        num_turns = page.locator(".turn").count()
        assert num_turns > 1
        press(page, *(["["] if key == "[" else ["["] * num_turns + ["]"]))
        chosen = page.locator(".turn.current").get_attribute("data-turn")
        shown = page.locator(".turn").nth(num_turns - 2 if key == "[" else 1).get_attribute("data-turn")
        assert chosen == shown

    return check


def asked_by_the_demonstrator(page: Any) -> None:
    """Ask a labelled question without a mouse, by a script that searches and then opens."""
    for typed in ("policy demonstrator", "choose a labelled"):
        press(page, "Control+k")
        page.keyboard.type(typed)
        press(page, "Enter")
    page.keyboard.type("single")
    press(page, "Enter", "Enter")
    page.wait_for_selector(".score")
    press(page, "Escape")


def step_is_chosen_by(key: str, step: int) -> Check:
    def check(page: Any) -> None:
        press(page, key)
        page.wait_for_selector(f".chip-button:has-text('Step {step}')")

    return check


def file_is_saved(page: Any) -> None:
    with page.expect_download() as waiting:
        press(page, "x")
    assert waiting.value.suggested_filename == "mailsleuth-episodes.html"


def leads_to(place: str, *keys: str) -> Check:
    def check(page: Any) -> None:
        press(page, *keys)
        page.wait_for_url(f"**/#/runs/0{place}")

    return check


def scrubbed_to(turns: int | str, *keys: str) -> Check:
    """The replay stands at a place; `end`: the ending is shown."""

    def check(page: Any) -> None:
        press(page, *keys)
        end = page.locator("input[type=range]").first.get_attribute("max")
        assert page.locator("input[type=range]").first.input_value() == (end if turns == "end" else str(turns))

    return check


def replay_plays(page: Any) -> None:
    press(page, " ")
    assert page.get_by_role("button", name="Pause").count() == 1
    press(page, " ")
    assert page.get_by_role("button", name="Play").count() == 1


def tokens_come_and_go(page: Any) -> None:
    press(page, "t")
    page.wait_for_selector(".token-text")
    press(page, "t")
    page.wait_for_selector(".tokens", state="detached")


def compares(page: Any) -> None:
    press(page, "c")
    page.wait_for_selector("dialog.palette[open]")
    assert page.get_attribute("dialog.palette input", "placeholder") == "Compare with"


def member_is_chosen(number: int, *keys: str) -> Check:
    def check(page: Any) -> None:
        press(page, *keys)
        assert f"Rollout {number}" in page.inner_text(".member.current")

    return check


EVERYWHERE = {"?": help_opens, "Ctrl K": palette_opens}
ASK = EVERYWHERE | {
    "/": search_is_focused,
    "j": next_is_chosen,
    "k": previous_is_chosen,
    "o": mail_opens_by("o"),
    "Enter": mail_opens_by("Enter"),
    "u": back_to_the_inbox,
    "[": turn_is_chosen_by("["),
    "]": turn_is_chosen_by("]"),
    "a": question_is_focused,
}
STEP_2 = STEP_1.replace("1", "2")
LIST = EVERYWHERE | {
    "/": search_is_focused,
    "j": next_is_chosen,
    "k": previous_is_chosen,
    "o": leads_to("/episode/*/2", "j", "j", "o"),
    "Enter": leads_to("/episode/*/2", "j", "j", "Enter"),
    "[": step_is_chosen_by("[", 3),
    "]": step_is_chosen_by("]", 1),
    "x": file_is_saved,
}
AMONG_EPISODES = EVERYWHERE | {
    "j": leads_to("/episode/*/6", "j"),
    "k": leads_to("/episode/*/4", "k"),
    "[": leads_to(f"/episode/{STEP_1}/*", "["),
    "]": leads_to("/episode/*step-000003.jsonl/*", "]"),
    "u": leads_to("", "u"),
    "c": compares,
    "x": file_is_saved,
    "g": leads_to("/group/*/*", "g"),
}
EPISODE = AMONG_EPISODES | {
    "→": scrubbed_to(1, "ArrowRight"),
    "←": scrubbed_to(0, "ArrowRight", "ArrowLeft"),
    "Home": scrubbed_to(0, "ArrowRight", "Home"),
    "End": scrubbed_to("end", "End"),
    "Space": replay_plays,
}
WITH_TOKENS = {"t": tokens_come_and_go}
PAIR = AMONG_EPISODES | {
    "→": scrubbed_to(1, "Home", "ArrowRight"),
    "←": scrubbed_to(0, "Home", "ArrowRight", "ArrowLeft"),
    "Home": scrubbed_to(0, "Home"),
    "End": scrubbed_to("end", "Home", "End"),
}
GROUP = EVERYWHERE | {
    "→": member_is_chosen(2, "ArrowRight", "ArrowRight"),
    "←": member_is_chosen(1, "ArrowRight", "ArrowRight", "ArrowLeft"),
    "Enter": leads_to("/episode/*/6", "ArrowRight", "ArrowRight", "Enter"),
    "[": AMONG_EPISODES["["],
    "]": AMONG_EPISODES["]"],
    "u": AMONG_EPISODES["u"],
}
PLACES = {
    "list": (LIST, "0", ".run-list .row"),
    "episode": (EPISODE, f"0/episode/{STEP_2}/5", ".scrub"),
    "tokens": (EPISODE | WITH_TOKENS, f"0/episode/{STEP_2}/1", ".scrub"),
    "group": (GROUP, f"0/group/{STEP_2}/5", ".member"),
    "pair": (PAIR, f"0/pair/{STEP_2}/5/0/{STEP_2}/6", ".pair .scrub"),
}


def listed(page: Any) -> set[str]:
    press(page, "?")
    return set(page.locator("dialog.help kbd").all_inner_texts())


def test_each_key_of_the_help_has_a_check_here(browser, play_url) -> None:
    with visit(browser, play_url) as page:
        assert listed(page) == set(ASK)


@pytest.mark.parametrize("name", PLACES)
def test_each_key_of_the_viewers_help_has_a_check_here(browser, view_url, name) -> None:
    checks, place, wait = PLACES[name]
    with view(browser, view_url, place, wait) as page:
        assert listed(page) == set(checks)


@pytest.mark.parametrize("key", ASK)
def test_a_key_does_what_the_help_says(browser, play_url, key) -> None:
    with visit(browser, play_url, ".pane.inbox .row:not(.waiting)") as page:
        ASK[key](page)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "key"), [(name, key) for name, (checks, _, _) in PLACES.items() for key in checks])
def test_a_key_of_the_viewer_does_what_the_help_says(browser, view_url, name, key) -> None:
    checks, place, wait = PLACES[name]
    if name == "tokens" and key not in WITH_TOKENS:
        pytest.skip("as without tokens")
    with view(browser, view_url, place, wait, accept_downloads=True) as page:
        checks[key](page)


def test_a_question_is_asked_answered_and_its_mail_opened_without_a_mouse(browser, play_url) -> None:
    with visit(browser, play_url) as page:
        asked_by_the_demonstrator(page)
        assert "Right" in page.get_by_role("log").inner_text()
        page.wait_for_selector(".pane.mail mark")
        for _ in range(100):
            press(page, "Tab")
            if is_focused(page, ".log .ending .source"):
                break
        press(page, "Enter")
        page.wait_for_selector(".desk[data-pane=mail] .pane.mail mark")


def test_keys_rest_while_somebody_types_and_not_on_the_bar_of_a_replay(browser, play_url, view_url) -> None:
    with visit(browser, play_url) as page:
        press(page, "a", "j", "?", "[")
        assert page.input_value(".composer textarea") == "j?["
        press(page, "/", "Escape")
        open_next_mail(page)
    with view(browser, view_url, f"0/episode/{STEP_2}/5", ".scrub") as page:
        page.locator("input[type=range]").focus()
        press(page, "g")
        page.wait_for_selector(".member")


def test_every_way_is_in_the_palette(browser, view_url) -> None:
    with view(browser, view_url, f"0/episode/{STEP_1}/1", ".scrub") as page:
        press(page, "Control+k")
        commands = page.locator("dialog.palette li").all_inner_texts()
        assert any("Export this episode" in text for text in commands)
        assert sum("of the group" in text for text in commands) == GROUP_SIZE
        page.keyboard.type("zzzz")
        press(page, "Enter")
        assert page.get_by_text("Nothing like that").is_visible()


def test_a_key_is_heard_before_everything_has_come(browser, view_url) -> None:
    with view(browser, view_url) as page:
        slowly(page, "**/mails?*")
        page.goto("about:blank")
        page.goto(f"{view_url}/#/runs/0/episode/{STEP_1}/2")
        page.wait_for_selector(".scrub")
        press(page, "g")
        page.wait_for_selector(".member", timeout=5000)
