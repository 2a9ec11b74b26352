"""Small, large and dark screens: nothing is cut off, axe finds nothing, pictures to look at."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.browser.visits import PLACES, ask_example, serious, view, visit


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


ZOOMED = [(640, 360), (683, 384), (360, 740)]  # 1280x720 and 1366x768 at 200 %, and a phone
CONTROLS = ".pane :is(button, input, select, textarea, summary, .row, .token.sampled)"


def low(browser: Any, address: str, size: tuple[int, int], wait: str = ".composer", scheme: str = "light") -> Any:
    options = {"viewport": {"width": size[0], "height": size[1]}, "color_scheme": scheme, "bypass_csp": True}
    return visit(browser, address, wait, reduced_motion="reduce", **options)


def height(page: Any, selector: str) -> float:
    return float(page.locator(selector).first.bounding_box()["height"])


def out_of_reach(page: Any) -> list[str]:
    """Return what cannot be brought into view between the head and the bar below, or is covered when it is there."""
    found: list[str] = page.evaluate(
        """selector => {
          const bars = [...document.querySelectorAll(".pane-tabs")].map((bar) => bar.getBoundingClientRect().top);
          const floor = Math.min(innerHeight, ...bars.filter((top) => top > 0));
          const roof = document.getElementById("top").getBoundingClientRect().bottom;
          return [...document.querySelectorAll(selector)]
            .filter((one) => one.checkVisibility({ visibilityProperty: true }))
            .filter((one) => {
              one.scrollIntoView({ block: "nearest", inline: "nearest" });
              const box = one.getBoundingClientRect();
              const [x, y] = [box.left + box.width / 2, box.top + Math.min(box.height, floor - roof) / 2];
              const hit = document.elementFromPoint(x, y);
              const isCovered = !one.contains(hit) && !hit?.contains(one) && !hit?.closest("label")?.contains(one);
              return box.top < roof - 1 || (box.bottom > floor + 1 && box.height < floor - roof) || isCovered;
            }).map((one) => one.outerHTML.slice(0, 120));
        }""",
        CONTROLS,
    )
    overflow = page.evaluate("document.documentElement.scrollHeight - innerHeight")
    return found + ([f"the page itself scrolls by {overflow} px"] if overflow > 0 else [])


@pytest.mark.parametrize("size", ZOOMED)
def test_a_zoomed_page_leaves_room_for_the_conversation_and_hides_nothing(browser, play_url, question, size) -> None:
    with low(browser, play_url, size) as page:
        assert out_of_reach(page) == []
        ask_example(page, question.question)
        assert height(page, ".log") > 0.55 * size[1]
        if not page.evaluate("document.querySelector('.options').open"):
            page.get_by_text("Settings", exact=True).click()
        page.get_by_text("Limits", exact=True).click()
        page.get_by_label("Judged by").wait_for()
        assert height(page, ".log") > 0.39 * height(page, ".pane.agent")
        assert out_of_reach(page) == []
        page.get_by_role("textbox", name="Question").fill("And now?")
        page.get_by_role("button", name="Take the seat").click()
        page.wait_for_selector(".hand")
        assert out_of_reach(page) == []


@pytest.mark.parametrize("size", ZOOMED[::2])
@pytest.mark.parametrize("name", PLACES)
def test_a_zoomed_viewer_shows_what_it_is_for_and_hides_nothing(browser, view_url, name, size) -> None:
    place, wait = PLACES[name]
    with low(browser, f"{view_url}/#/runs/{place}", size, wait) as page:
        shown = {"list": ".run-list .scroller", "tokens": ".token-text", "group": ".member"}.get(name, ".log")
        assert height(page, shown) > 0.25 * size[1]
        page.keyboard.press("End")
        assert out_of_reach(page) == []


@pytest.mark.slow
@pytest.mark.parametrize("size", ZOOMED)
def test_axe_finds_nothing_serious_in_a_zoomed_page(browser, play_url, view_url, question, size) -> None:
    with low(browser, play_url, size) as page:
        ask_example(page, question.question)
        if not page.evaluate("document.querySelector('.options').open"):
            page.get_by_text("Settings", exact=True).click()
        page.get_by_text("Limits", exact=True).click()
        assert serious(page) == []
        page.emulate_media(color_scheme="dark")
        assert serious(page, "color-contrast") == []
    for place, wait in PLACES.values():
        with low(browser, f"{view_url}/#/runs/{place}", size, wait) as page:
            assert serious(page) == []
