"""Pictures of every place, to be looked at: `MAILSLEUTH_SCREENSHOTS=FOLDER pytest -m slow -k pictures`.

A picture is kept of each place, light and dark, on a large screen, a zoomed one and a phone.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.browser.visits import PLACES, ask_example, visit

SIZES = {"large": (1280, 800), "zoomed": (640, 360), "phone": (360, 740)}


class Camera:
    """Takes pictures in both schemes; every one must fit its screen."""

    def __init__(self, page: Any, folder: Any, size: str) -> None:
        self.page, self.folder, self.size, self.taken = page, folder, size, []

    def take(self, name: str) -> None:
        for scheme in ("light", "dark"):
            self.page.emulate_media(color_scheme=scheme)
            self.page.wait_for_timeout(150)
            path = self.folder / f"{name}-{self.size}-{scheme}.png"
            self.page.screenshot(path=path)
            assert path.stat().st_size > 2_000
            self.taken.append(path.name)
        assert self.page.evaluate("document.documentElement.scrollWidth") <= SIZES[self.size][0], name


def screen(size: str) -> dict[str, Any]:
    width, height = SIZES[size]
    return {"viewport": {"width": width, "height": height}, "reduced_motion": "reduce"}


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_pictures_of_the_playground_are_kept(browser, play_url, question, pictures, size) -> None:
    with visit(browser, play_url, **screen(size)) as page:
        camera = Camera(page, pictures, size)
        page.wait_for_selector(".pane.inbox .row", state="attached")
        camera.take("play-start")
        ask_example(page, question.question)
        camera.take("play-answer")
        for tab in page.locator(".pane-tabs button:visible").all():
            tab.click()
            camera.take(f"play-{tab.inner_text().strip().lower()}")
        page.get_by_role("button", name="Keyboard help").click()
        camera.take("play-help")
        page.keyboard.press("Escape")
        page.keyboard.press("Control+k")
        camera.take("play-palette")
        page.keyboard.type("take the agent")
        page.keyboard.press("Escape")
        page.get_by_role("textbox", name="Question").fill("By hand?")
        if not page.evaluate("document.querySelector('.options').open"):
            page.get_by_text("Settings", exact=True).click()
        page.get_by_role("button", name="Take the seat").click()
        page.wait_for_selector(".hand")
        camera.take("play-hand")
        assert len(camera.taken) == len(set(camera.taken)) >= 10


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_pictures_of_the_viewer_and_of_an_exported_file_are_kept(browser, view_url, pictures, tmp_path, size) -> None:
    for name, (place, wait) in PLACES.items():
        with visit(browser, f"{view_url}/#/runs/{place}", wait, **screen(size)) as page:
            page.keyboard.press("End")
            Camera(page, pictures, size).take(f"view-{name}")
    exported = tmp_path / "episodes.html"
    exported.write_text(httpx.get(f"{view_url}/api/runs/0/export").text, encoding="utf-8")
    with visit(browser, exported.as_uri(), ".scrub", **screen(size)) as page:
        page.keyboard.press("End")
        Camera(page, pictures, size).take("view-export")
