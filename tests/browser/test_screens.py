"""Small, large and dark screens: nothing is cut off, axe finds nothing, pictures to look at."""

from __future__ import annotations

import re

import pytest

from tests.browser.visits import STEP_1, ask_example, serious, view, visit

PLACES = {
    "list": ("0", ".run-list .row"),
    "replay": (f"0/episode/{STEP_1}/1", ".scrub"),
    "tokens": (f"0/tokens/{STEP_1}/1", ".token-text"),
    "group": (f"0/group/{STEP_1}/1", ".member"),
    "pair": (f"0/pair/{STEP_1}/1/1/{STEP_1}/2", ".pair .scrub"),
}


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (360, "dark"), (640, "dark"), (1440, "light")])
def test_no_screen_is_too_small_or_too_dark(browser, play_url, width, scheme) -> None:
    with visit(browser, play_url, viewport={"width": width, "height": 740}, color_scheme=scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.get_by_role("textbox", name="Question").is_visible()
        look = "getComputedStyle(document.documentElement)"
        colors = page.evaluate(f"[{look}.color, {look}.backgroundColor]")
        dark, light = sorted(sum(map(int, re.findall(r"\d+", color)[:3])) for color in colors)
        assert light - dark > 300
        ground = sum(map(int, re.findall(r"\d+", colors[1])[:3]))
        assert (ground == dark) == (scheme == "dark")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_an_answer(browser, play_url, question, scheme) -> None:
    options = {"bypass_csp": True, "color_scheme": scheme, "reduced_motion": "reduce"}
    with visit(browser, play_url, **options) as page:
        ask_example(page, question.question)
        assert serious(page) == []


@pytest.mark.parametrize("name", PLACES)
def test_every_place_fits_a_small_screen(browser, view_url, name) -> None:
    with view(browser, view_url, *PLACES[name], viewport={"width": 360, "height": 740}) as page:
        page.keyboard.press("End")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        outside = page.evaluate(
            "[...document.querySelectorAll('main :is(button, select, input):not(.members *)')].filter(one => {"
            " const box = one.getBoundingClientRect(); return box.left < 0 || box.right > 361 })"
            ".map(one => one.outerHTML)"
        )
        assert outside == []
        assert page.locator("main :is(button, select, input):visible").count() > 2


@pytest.mark.parametrize("name", PLACES)
def test_axe_finds_nothing_serious_and_in_the_dark_no_faint_text(browser, view_url, name) -> None:
    with view(browser, view_url, *PLACES[name], bypass_csp=True, color_scheme="light") as page:
        page.keyboard.press("End")
        page.wait_for_timeout(100)
        assert serious(page) == []
        page.emulate_media(color_scheme="dark")
        assert serious(page, "color-contrast") == []
