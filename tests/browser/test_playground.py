"""The page in a real browser: asking, the keyboard, small and dark screens, hostile mail, no other host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from inbox_env.importing.import_mail import import_mail
from inbox_env.questions import Question
from scripts.bench_mailbox import MailboxSize, ensure_mailbox
from tests.scripts.playground.served import hostile, invented, served
from tests.scripts.playground.test_mail_html import HOSTILE as HOSTILE_HTML

SENTINEL = "window.__ran = true"
HOSTILE = [
    f"<script>{SENTINEL}</script>",
    f"<img src=x onerror='{SENTINEL}'>",
    f"<svg onload='{SENTINEL}'>",
    "<iframe srcdoc='<script>parent.__ran = true</script>'></iframe>",
    f"javascript:{SENTINEL}",
    f"<a href='javascript:{SENTINEL}'>click</a>",
    "![x](http://evil.test/x.png)",
    "<img src='http://evil.test/x.png'><link rel=stylesheet href='http://evil.test/x.css'>",
    "<style>@import 'http://evil.test/x.css'; body { background: url(http://evil.test/y) }</style>",
    "<video poster='http://evil.test/p'><source srcset='http://evil.test/s'></video>",
    "<meta http-equiv=refresh content='0;url=http://evil.test/'>",
    "<base href='http://evil.test/'><form action='http://evil.test/'><input autofocus onfocus='window.__ran=true'>",
    f"'\"><body onload='{SENTINEL}'>{{{{constructor.constructor('{SENTINEL}')()}}}}",
    "\x1b]52;c;aGk=\x07\x1b[2J\u202egnp.exe\u2066",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def questions(folder: Path) -> list[Question]:
    return invented(folder)[1]


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    mailbox, questions = invented(folder)
    with served(mailbox, questions, folder, policy="oracle") as url:
        yield url


@contextmanager
def visit(browser: Any, url: str, **options: Any) -> Iterator[Any]:
    """Open the page in a window of its own; it must not complain, nor ask another host for anything."""
    context = browser.new_context(**options)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: request.url.startswith(url) or complaints.append(request.url))
    page.goto(url)
    page.wait_for_selector(".composer")
    try:
        yield page
    finally:
        context.close()
    assert complaints == []


def open_next_mail(page: Any) -> None:
    page.wait_for_selector(".pane.inbox [role=option]")
    page.locator("header").first.click(position={"x": 300, "y": 10})
    page.keyboard.press("j")
    page.keyboard.press("o")
    page.wait_for_selector(".pane.mail h2")


def single(questions: list[Question]) -> Question:
    return next(question for question in questions if question.kind == "single")


def test_an_example_is_asked_and_answered_with_its_source_opened_at_the_quote(browser, url, questions) -> None:
    question = single(questions)
    with visit(browser, url) as page:
        page.get_by_role("button", name=question.question).click()
        page.get_by_role("textbox", name="Question").press("Enter")
        page.wait_for_selector(".score")
        shown = page.get_by_role("log").inner_text()
        assert question.answer in shown
        assert "Right" in shown
        page.wait_for_selector(".pane.mail mark")
        assert question.answer.casefold() in page.inner_text(".pane.mail mark").casefold()
        page.reload()
        page.wait_for_selector(".score")
        assert question.answer in page.get_by_role("log").inner_text(), "a reload forgets nothing"


def test_the_bundled_agent_is_asked_and_watched(browser, folder, questions, tmp_path) -> None:
    question = single(questions)
    policy = f"local:{Path(__file__).resolve().parents[2] / 'data' / 'base'}"
    with served(invented(folder)[0], questions, tmp_path, policy=policy) as url, visit(browser, url) as page:
        page.get_by_role("button", name=question.question).click()
        page.get_by_role("textbox", name="Question").press("Enter")
        page.wait_for_selector(".turn", timeout=60_000)
        page.wait_for_selector(".score", timeout=60_000)
        shown = page.get_by_role("log").inner_text()
        assert "Searched" in shown
        assert "tokens" in shown


def test_consent_is_asked_for_a_model_elsewhere_however_it_is_named(browser, url) -> None:
    with visit(browser, url) as page:
        page.locator(".settings select").first.select_option("other")
        for spec, host in (("openai:https://llm.example.org/v1#m", "llm.example.org"), ("api+json:openai/m", "openai")):
            page.get_by_label("Another policy").fill(spec)
            page.get_by_label(f"are sent to {host}.").wait_for()
        page.get_by_label("Another policy").fill("openai:http://127.0.0.1:9/v1#m")
        page.locator(".consent").wait_for(state="hidden")


def test_the_keyboard_is_enough(browser, url) -> None:
    with visit(browser, url) as page:
        open_next_mail(page)
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.type") == "search"
        page.keyboard.type("zzzzqqq")
        page.get_by_text("Nothing found").first.wait_for()
        page.keyboard.press("Escape")
        page.keyboard.press("Control+k")
        page.keyboard.type("take the agent")
        page.keyboard.press("Enter")
        page.wait_for_selector(".notice:not(:empty)")
        page.locator("body").click(position={"x": 700, "y": 20})
        page.keyboard.press("?")
        assert page.locator("dialog[open]").count() == 1


def test_the_seat_can_be_taken_and_left_without_an_answer(browser, url, questions) -> None:
    with visit(browser, url) as page:
        page.get_by_role("button", name=single(questions).question).click()
        page.get_by_role("button", name="Take the seat").click()
        page.get_by_role("button", name="Answer", exact=True).click()
        page.get_by_role("button", name="I don't know").click()
        page.wait_for_selector(".score")
        assert "Gave up" in page.get_by_role("log").inner_text()


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (360, "dark"), (640, "dark"), (1440, "light")])
def test_no_screen_is_too_small_or_too_dark(browser, url, tmp_path, width, scheme) -> None:
    with visit(browser, url, viewport={"width": width, "height": 740}, color_scheme=scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.get_by_role("textbox", name="Question").is_visible()
        look = "getComputedStyle(document.documentElement)"
        colors = page.evaluate(f"[{look}.color, {look}.backgroundColor]")
        dark, light = sorted(sum(map(int, re.findall(r"\d+", color)[:3])) for color in colors)
        assert light - dark > 300
        ground = sum(map(int, re.findall(r"\d+", colors[1])[:3]))
        assert (ground == dark) == (scheme == "dark")
        page.screenshot(path=tmp_path / "page.png")


def test_hostile_mail_is_shown_and_never_run(browser, folder, tmp_path) -> None:
    with served(hostile(folder, HOSTILE), [], tmp_path) as url, visit(browser, url) as page:
        for _ in HOSTILE:
            open_next_mail(page)
        page.fill("input[type=search]", "needle")
        page.wait_for_timeout(300)
        assert page.evaluate("window.__ran") is None
        assert page.locator(".pane.mail script, .pane.mail img, .pane.mail iframe, .pane.mail form").count() == 0
        body = page.inner_text(".pane.mail")
        assert "\x1b" not in body
        assert "\u202e" not in body


def test_the_html_of_a_mail_is_shown_in_a_frame_that_can_do_nothing(browser, tmp_path) -> None:
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


def test_a_mail_of_five_megabytes_comes_in_parts(browser, tmp_path) -> None:
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
def test_a_list_of_a_hundred_thousand_mails_draws_what_is_seen(browser, tmp_path) -> None:
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


def test_links_of_mails_show_where_they_lead_before_they_are_followed(browser, folder, tmp_path) -> None:
    mailbox = hostile(tmp_path, ["see http://bank.test@evil.test/login now"])
    with served(mailbox, [], tmp_path) as url, visit(browser, url) as page:
        open_next_mail(page)
        assert page.locator(".pane.mail a[href]").count() == 0, "nothing leads away by one click"
        assert "http://bank.test@evil.test/login" in page.inner_text(".pane.mail")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser, url, questions, scheme) -> None:
    axe = pytest.importorskip("axe_playwright_python.base").AXE_FILE_PATH
    options = {"bypass_csp": True, "color_scheme": scheme, "reduced_motion": "reduce"}
    with visit(browser, url, **options) as page:
        page.get_by_role("button", name=single(questions).question).click()
        page.get_by_role("textbox", name="Question").press("Enter")
        page.wait_for_selector(".score")
        page.evaluate(Path(axe).read_text(encoding="utf-8"))
        found = page.evaluate("axe.run()")["violations"]
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []
