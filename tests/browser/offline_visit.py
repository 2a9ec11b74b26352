"""`unshare -rn python -m tests.browser.offline_visit FOLDER`: asks the bundled agent where there is loopback alone."""

from __future__ import annotations

import fcntl
import socket
import struct
import subprocess
import sys
from pathlib import Path

from inbox_env.questions import write_questions
from tests.scripts.playground.served import invented

BASE = Path(__file__).resolve().parents[2] / "data" / "base"
SIOCSIFFLAGS, IFF_UP = 0x8914, 1


def raise_loopback() -> None:
    """Bring `lo` up, which is down in a new network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def is_offline() -> bool:
    try:
        socket.create_connection(("192.0.2.1", 80), timeout=2).close()
    except OSError as error:
        return not isinstance(error, TimeoutError)  # unreachable at once: there is no network
    return False


def main(folder: Path) -> None:
    """Serve as `mailsleuth play` does, ask in Chromium, print what the page shows."""
    from playwright.sync_api import sync_playwright

    raise_loopback()
    print("offline" if is_offline() else "ONLINE")
    mailbox, questions = invented(folder)
    write_questions(folder / "q.jsonl", questions)
    start = "from scripts.cli import main; raise SystemExit(main())"
    chosen = ["--mailbox", str(mailbox), "--questions", str(folder / "q.jsonl"), "--policy", f"local:{BASE}"]
    command = [sys.executable, "-c", start, "play", "--no-browser", "--port", "0", *chosen]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server, sync_playwright() as driver:
        try:
            url = next(word for word in server.stdout.readline().split() if word.startswith("http"))
            browser = driver.chromium.launch(executable_path=sys.argv[2], args=["--no-sandbox"])
            page = browser.new_page()
            elsewhere: list[str] = []
            page.on("request", lambda request: request.url.startswith(url) or elsewhere.append(request.url))
            page.goto(url)
            page.locator(".example").first.click()
            page.get_by_role("textbox", name="Question").press("Enter")
            page.wait_for_selector(".score", timeout=120_000)
            print(f"requests to elsewhere: {elsewhere}")
            print(page.get_by_role("log").inner_text())
            browser.close()
        finally:
            server.terminate()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
