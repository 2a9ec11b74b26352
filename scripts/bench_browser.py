"""Measure the pages as Chromium draws them: until the first rows are painted, and a filter of a run.

Times are the browser's own, from the start of the navigation or from the choice of a filter to the frame that shows the
rows. Needs playwright and chromium. Knows nothing of how a page is served.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from inbox_env.errors import UsageError
from scripts.bench_search import summary

_ROW = ".scroller .row:not(.waiting)"
_WATCH = """
  window.painted = new Promise((done) => {
    const painted = () => requestAnimationFrame(() => setTimeout(() => done(performance.now())));
    const look = () => (document.querySelector(%r) ? painted() : requestAnimationFrame(look));
    look();
  });
"""
_FILTER = """
  async ([name, value]) => {
    const select = document.querySelector(`.facets select[aria-label="${name}"]`);
    const rows = document.querySelector(".rows");
    const drawn = new Promise((done) => {
      const watch = new MutationObserver(() => (watch.disconnect(), requestAnimationFrame(() => setTimeout(done))));
      watch.observe(rows, { childList: true });
    });
    const started = performance.now();
    select.value = value;
    select.dispatchEvent(new Event("change"));
    await drawn;
    return performance.now() - started;
  }
"""


@contextmanager
def chromium() -> Iterator[Any]:
    """Yield a browser; raises UsageError where there is none."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise UsageError(98, "--browser needs playwright", next_step="pip install playwright") from error
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        raise UsageError(98, "--browser needs chromium", next_step="apt install chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def first_rows_ms(browser: Any, url: str, rounds: int = 5) -> dict[str, float]:
    """Return the milliseconds from the navigation until a frame shows rows, each time in a new profile."""
    return summary([_first_rows_ms(browser, url) for _ in range(rounds)])


def _first_rows_ms(browser: Any, url: str) -> float:
    context = browser.new_context()
    page = context.new_page()
    page.add_init_script(_WATCH % _ROW)
    page.goto(url)
    found = float(page.evaluate("window.painted"))
    context.close()
    return found


def filter_ms(browser: Any, url: str, rounds: int = 10) -> dict[str, float]:
    """Return the milliseconds from the choice of a filter of a run until a frame shows what is left."""
    page = browser.new_page()
    page.goto(url)
    page.wait_for_selector(_ROW)
    found = []
    for _ in range(rounds):
        for name in ("Outcome", "Ended by"):
            options = page.locator(f'.facets select[aria-label="{name}"] option').all()
            values = [one.get_attribute("value") for one in options]
            found += [float(page.evaluate(_FILTER, [name, value])) for value in [*values[1:], ""]]
    page.close()
    return summary(found)
