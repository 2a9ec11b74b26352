"""Mails in a real browser: HTML in its frame, large ones, long lists, links."""

from __future__ import annotations

import pytest

from inbox_env.importing.import_mail import import_mail
from scripts.bench_mailbox import MailboxSize, ensure_mailbox
from tests.browser.visits import open_next_mail, visit
from tests.scripts.playground.served import served
from tests.scripts.playground.test_mail_html import HOSTILE as HOSTILE_HTML


def test_f67_f69_the_html_of_a_mail_is_shown_in_a_frame_that_can_do_nothing(browser, tmp_path) -> None:
    html = "<p style='color: red'>the <b>red</b> one</p>" + "".join(HOSTILE_HTML)
    raw = f"From x Mon Jan  1 00:00:00 2001\nMessage-ID: <1@x>\nSubject: s\nContent-Type: text/html\n\n{html}\n"
    (tmp_path / "a.mbox").write_text(raw)
    import_mail([tmp_path / "a.mbox"], tmp_path / "my.db", "me", keep_html=True)
    with served(tmp_path / "my.db", [], tmp_path) as url, visit(browser, url) as page:
        open_next_mail(page)
        page.get_by_role("button", name="Show as HTML").click()
        frame = page.frame_locator(".pane.mail iframe")
        frame.get_by_text("the red one").wait_for()
        assert frame.locator("b").count() > 0
        assert page.locator(".pane.mail iframe").get_attribute("sandbox") == ""
        page.wait_for_timeout(300)
        page.screenshot(path=tmp_path / "html.png")
        assert page.evaluate("window.__ran") is None
        assert len(page.frames) == 2
        page.get_by_role("button", name="Show as text").click()
        assert page.locator(".pane.mail iframe").count() == 0
        assert "the red one" in page.inner_text(".pane.mail .body")


def test_forwarded_mails_stand_apart_on_the_page(browser, tmp_path) -> None:
    heading = "---------- Forwarded message ----------\nFrom: Eve \U0001f600 <eve@x.org>\nSubject: Prices\n\n"
    long = "".join(f"line {number} \U0001f600\n" for number in range(9_000))
    raw = f"FYI \U0001f600 all\n\n{heading}The price is 3.40.\n\n{heading}{long}"
    (tmp_path / "a.mbox").write_text(f"From x Mon Jan  1 00:00:00 2001\nMessage-ID: <1@x>\nSubject: s\n\n{raw}\n")
    import_mail([tmp_path / "a.mbox"], tmp_path / "my.db", "me")
    with served(tmp_path / "my.db", [], tmp_path) as url, visit(browser, url) as page:
        open_next_mail(page)
        parts = page.locator(".pane.mail .body > section.forwarded")
        assert parts.count() == 2
        assert parts.first.text_content() == f"{heading}The price is 3.40.\n\n"
        page.get_by_role("button", name="Show more").click()
        page.wait_for_function("() => document.querySelector('.pane.mail .body').textContent.includes('line 8999 ')")
        assert parts.count() == 2
        whole = page.evaluate("document.querySelector('.pane.mail .body').textContent")
        assert whole == raw.rstrip()
        assert "".join(parts.all_text_contents()) == whole.removeprefix("FYI \U0001f600 all\n\n")
        page.screenshot(path=tmp_path / "forwarded.png")


def test_f78_a_mail_of_five_megabytes_comes_in_parts(browser, tmp_path) -> None:
    lines = "".join(f"line {number} of it\n" for number in range(250_000))
    raw = f"From x Mon Jan  1 00:00:00 2001\nMessage-ID: <1@x>\nSubject: large\n\n{lines}\n"
    (tmp_path / "a.mbox").write_text(raw)
    import_mail([tmp_path / "a.mbox"], tmp_path / "my.db", "me")
    with served(tmp_path / "my.db", [], tmp_path) as url, visit(browser, url) as page:
        open_next_mail(page)
        body = page.locator(".pane.mail .body")
        first = len(body.inner_text())
        assert first < 50_000
        page.get_by_role("button", name="Show more").click()
        page.wait_for_function(
            f"() => document.querySelector('.pane.mail .body').textContent.length > {first} + 300000"
        )
        assert page.evaluate("document.querySelector('.pane.mail .body').textContent").startswith(
            "line 0 of it\nline 1 of"
        )
        assert page.get_by_role("button", name="Show more").is_enabled()


@pytest.mark.slow
def test_f78_a_list_of_a_hundred_thousand_mails_draws_what_is_seen(browser, tmp_path) -> None:
    mailbox = ensure_mailbox(MailboxSize(100_000, 1), tmp_path)
    with served(mailbox, [], tmp_path) as url, visit(browser, url) as page:
        rows = page.locator(".pane.inbox [role=option]")
        rows.first.wait_for()
        seen = set()
        for share in (0, 0.25, 0.5, 0.999, 1):
            page.evaluate(f"(() => {{ const s = document.querySelector('.pane.inbox [role=listbox]'); "
                          f"s.scrollTop = s.scrollHeight * {share} }})()")  # fmt: skip
            page.wait_for_timeout(100)
            page.wait_for_function("() => !document.querySelector('.pane.inbox .row.waiting')")
            assert 5 < rows.count() < 80
            seen |= {int(row.get_attribute("aria-posinset")) for row in rows.all()}
        assert 1 in seen
        assert 100_000 in seen
        assert rows.first.get_attribute("aria-setsize") == "100000"
