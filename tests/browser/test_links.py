"""Links of mails and of answers in a real browser: the whole address is shown, and only a second click follows it."""

from __future__ import annotations

from typing import Any

from agent.policies.scripted import answer
from tests.browser.visits import ask, open_next_mail, visit
from tests.scripts.playground.served import hostile, invented, served

LINK = "http://bank.test@evil.test/login?to=%2Fme#top"
TEXT = f"[your bank]({LINK}) and ![x]({LINK})"


def saying(opening: Any, random: Any) -> Any:
    yield answer(TEXT)


def check_link(page: Any, place: str) -> None:
    """A link in `place` shows its address, can be left, and opens a tab of its own at the second click."""
    asked: list[str] = []
    page.context.route("http://bank.test@evil.test/**", lambda route: route.fulfill(body="there"))
    page.context.route("http://evil.test/**", lambda route: route.fulfill(body="there"))
    page.context.on("request", lambda request: "evil.test" in request.url and asked.append(request.url))
    assert page.locator(f"{place} a[href], {place} img").count() == 0, "nothing leads away by one click"
    link = page.locator(f"{place} .link").first
    link.click()
    dialog = page.locator("dialog.leaving[open]")
    assert dialog.locator(".address").inner_text() == LINK
    assert dialog.locator("strong").inner_text() == "evil.test"
    dialog.get_by_role("button", name="Stay here").click()
    assert page.locator("dialog").filter(has_text="Open this address?").count() == 0
    assert (asked, len(page.context.pages)) == ([], 1)
    link.click()
    with page.context.expect_page() as waiting:
        page.get_by_role("link", name="Open in a new tab").click()
    assert waiting.value.url.endswith("evil.test/login?to=%2Fme#top")
    assert waiting.value.evaluate("window.opener") is None
    assert waiting.value.evaluate("document.referrer") == ""
    assert len(asked) == 1
    assert page.locator("dialog.leaving").count() == 0


def test_f68_a_link_of_a_mail_is_followed_at_the_second_click(browser, tmp_path) -> None:
    with (
        served(hostile(tmp_path, [TEXT]), [], tmp_path) as url,
        visit(browser, url, followed=("http://bank.test@evil.test", "http://evil.test")) as page,
    ):
        open_next_mail(page)
        assert TEXT in page.inner_text(".pane.mail .body")
        check_link(page, ".pane.mail .body")


def test_f68_a_link_of_a_models_answer_is_text_until_the_second_click(browser, folder, acting, tmp_path) -> None:
    acting(saying)
    with (
        served(invented(folder)[0], [], tmp_path, policy="scripted") as url,
        visit(browser, url, followed=("http://bank.test@evil.test", "http://evil.test")) as page,
    ):
        ask(page, "Where is my bank?")
        assert page.inner_text(".ending .answer") == TEXT
        check_link(page, ".ending .answer")


def test_f68_only_addresses_of_the_web_are_links(browser, tmp_path) -> None:
    others = ["javascript:alert(1)", "data:text/html,<p>x", "file:///etc/passwd", "//evil.test/x", "mailto:x@evil.test"]
    with served(hostile(tmp_path, others), [], tmp_path) as url, visit(browser, url) as page:
        for _ in others:
            open_next_mail(page)
            assert page.locator(".pane.mail .link").count() == 0
