"""The benchmark's example page in a real browser: it runs nothing, loads nothing, and fits the screen."""

from __future__ import annotations

from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "data" / "examples" / "benchmark.html"
CHROMIUM = Path("/usr/bin/chromium")
MAX_BYTES = 400_000


def test_the_example_is_small_and_names_no_address() -> None:
    page = EXAMPLE.read_text(encoding="utf-8")
    assert len(page.encode()) < MAX_BYTES
    assert "://" not in page
    assert "<script" not in page


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM.is_file(), reason="needs chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_requests_nothing_and_scrolls_down_only(width: int) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    seen: list[str] = []
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.on("request", lambda request: seen.append(request.url))
        page.on("console", lambda message: seen.append(message.text))
        page.on("dialog", lambda dialog: seen.append(dialog.message))
        page.goto(EXAMPLE.as_uri())
        wide = page.evaluate("document.documentElement.scrollWidth")
        rows = page.locator("#policies tbody tr").count()
        browser.close()
    assert seen == [EXAMPLE.as_uri()]
    assert wide <= width
    assert rows == 8
