"""Take the pictures of the playground that README shows: a question about invented mail, light and dark.

`python -m scripts.screenshots`; needs playwright and chromium, and the run of `make train`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

OUT = Path("data/examples")
SIZE = {"width": 1280, "height": 800}
QUESTION_NUMBER = 1  # of the page's examples


def main() -> int:
    """Write both pictures and return 0."""
    from playwright.sync_api import sync_playwright

    command = [sys.executable, "-c", "from scripts.cli import main; main()", "play", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603  # our own command
        try:
            url = next(word for line in server.stdout or () for word in line.split() if word.startswith("http"))
            with sync_playwright() as driver:
                browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
                for scheme in ("light", "dark"):
                    _take(browser, url, scheme)
                browser.close()
        finally:
            server.terminate()
    return 0


def _take(browser: Any, url: str, scheme: str) -> None:
    page = browser.new_page(viewport=SIZE, color_scheme=scheme)
    page.goto(url)
    page.locator(".example").nth(QUESTION_NUMBER).click()
    page.keyboard.press("Enter")
    page.wait_for_selector(".score")
    page.wait_for_timeout(500)
    page.screenshot(path=OUT / f"playground-{scheme}.png")
    page.close()


if __name__ == "__main__":
    raise SystemExit(main())
