"""Results that an agent can afford and complete: limits in characters, texts of attachments, threads."""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbox_env.actions import ToolCall, ToolResult
from inbox_env.emails import Address, Attachment, Email
from inbox_env.inbox import Inbox
from inbox_env.ingest.clean import FOLDED, SIGNATURE_FOLDED
from inbox_env.mail_parts import FORWARDED, mail_parts
from inbox_env.rendering import ResultStyle
from inbox_env.store import build_inbox
from inbox_env.tools import Toolbox
from tests.inbox_env.test_quotes import CASES

CONFIGS = Path(__file__).parents[2] / "scripts" / "configs"
ME = Address("Me", "me@x.org")
ANN = Address("Ann Lee", "ann@x.org")
START = datetime(2001, 5, 1, tzinfo=UTC)


def mail(number: int, subject: str, body: str, **fields: Any) -> Email:
    values = {"sender": ANN, "to": (ME,), **fields}
    return Email(message_id=f"<{number}@x>", date=START + timedelta(days=number), subject=subject, body=body, **values)


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Inbox:
    many = tuple(Address(f"Person Number {n}", f"person.number{n}@example.org") for n in range(300))
    minutes = Attachment("minutes\n1.txt", "text/plain", 90, "Minutes of the zeppelin meeting\nall agreed")
    photo = Attachment("p.jpg", "image/jpeg", 9_000)
    mails = [
        mail(0, "Files", "See both, not here.\n\n> quoted plan", attachments=(photo, minutes)),
        mail(1, "Zeppelin " + "long subject " * 30, "a zeppelin " + "flies over the town " * 900, to=many),
        mail(2, "Re: Files", "thanks", in_reply_to="<0@x>"),
        mail(3, "Re: Files", "welcome", references=("<0@x>", "<2@x>")),
        *(mail(n, f"Zeppelin {n}", "zeppelin news " * 40) for n in range(10, 40)),
        *(mail(n, "Round", "round", references=("<50@x>",)) for n in range(50, 64)),
    ]
    path = tmp_path_factory.mktemp("mail") / "m.db"
    build_inbox(path, "me", mails, owner=ME)
    return Inbox.open(path, "me")


def call(inbox: Inbox, name: str, style: ResultStyle, as_of: datetime | None = None, /, **arguments: Any) -> ToolResult:
    result = Toolbox(inbox, as_of, style).execute(ToolCall(name, arguments))
    assert isinstance(result, ToolResult)
    return result


def test_the_text_of_an_attachment_is_found_shown_and_read(inbox: Inbox) -> None:
    found = call(inbox, "search_emails", ResultStyle(), keywords=["zeppelin meeting"])
    assert found.content == "1 found\n1 2001-05-01 Ann Lee: Files | Minutes of the zeppelin meeting all agreed"
    pages = [call(inbox, "read_email", ResultStyle(), id=1, page=page).content for page in (1, 2, 3)]
    bodies = [page.split("\n\n", 1)[1] for page in pages]
    assert bodies == [
        "See both, not here.\n\n[quoted text folded]\n[page 1 of 3]",
        "[attachment minutes 1.txt]\nMinutes of the zeppelin meeting\nall agreed\n[page 2 of 3]",
        "> quoted plan\n[page 3 of 3]",
    ]


SIGNED = "Best regards,\nAnn Lee\nVP Trading, Example Corp\nTel. +1 713 555 0100"
CARRIED = (
    "---------------------- Forwarded by Ann Lee/HOU/ECT on 11/20/2000 01:17 PM ---\n\n"
    "Bob Hall on 11/20/2000 09:00:00 AM\nTo:   Ann Lee/HOU/ECT@ECT\ncc:\nSubject: Prices\n\nThe price is 3.40."
)


@pytest.fixture(scope="module")
def carrying(tmp_path_factory: pytest.TempPathFactory) -> Inbox:
    bodies = [
        f"Lunch at noon.\n\n{SIGNED}\n\nOn 1 May 2001, Bob wrote:\n> lunch?",
        "Lunch at noon.\n\nThanks,\nAnn",
        f"FYI\n\n-- \n{SIGNED}\n\n{CARRIED}",
        f"{CARRIED}\n\n-----\nBegin forwarded message:\n\nFrom: Eve <eve@x.org>\nSubject: Old\n\n{'older words ' * 60}",
        f"-- \n{SIGNED}",
    ]
    path = tmp_path_factory.mktemp("mail") / "m.db"
    build_inbox(path, "me", [mail(number, "s", body) for number, body in enumerate(bodies)], owner=ME)
    return Inbox.open(path, "me")


def bodies_of(inbox: Inbox, number: int, num_pages: int, **style: int) -> list[str]:
    given = ResultStyle(**style)
    pages = [call(inbox, "read_email", given, id=number, page=page + 1) for page in range(num_pages + 1)]
    assert [page.is_error for page in pages] == [False] * num_pages + [True]
    return [page.content.split("\n\n", 1)[1].rsplit("\n[page")[0] for page in pages[:-1]]


def test_a_signature_is_folded_as_quotes_are_and_stands_on_the_last_page(carrying: Inbox) -> None:
    own, folded = bodies_of(carrying, 1, 2)
    assert own == "Lunch at noon.\n\n[signature folded]\n\n[quoted text folded]"
    assert folded == f"{SIGNED}\n\nOn 1 May 2001, Bob wrote:\n> lunch?"
    assert bodies_of(carrying, 2, 1) == ["Lunch at noon.\n\nThanks,\nAnn"], "a short one is no longer than its mark"
    assert bodies_of(carrying, 5, 1) == [f"-- \n{SIGNED}"], "a mail that is nothing else stays"


def test_a_forwarded_mail_is_a_part_under_its_own_headers(carrying: Inbox) -> None:
    prices = (
        "[forwarded mail]\nForwarded by Ann Lee/HOU/ECT on 11/20/2000 01:17 PM\nBob Hall on 11/20/2000 09:00:00 AM\n"
        "To: Ann Lee/HOU/ECT@ECT\ncc\nSubject: Prices\n\nThe price is 3.40."
    )
    assert bodies_of(carrying, 3, 2) == [f"FYI\n\n[signature folded]\n\n{prices}", f"-- \n{SIGNED}"]
    old = "[forwarded mail]\nBegin forwarded message\nFrom: Eve <eve@x.org>\nSubject: Old\n\n"
    (both,) = bodies_of(carrying, 4, 1)
    assert both.startswith(f"{prices}\n\n-----\n\n{old}older words")
    pages = bodies_of(carrying, 4, 4, page_chars=300)
    assert " ".join(pages).split() == both.split(), "a long one is read page by page"


LINES = [text for lines in CASES.values() for _, text in lines]


@given(st.lists(st.sampled_from([*LINES, *CARRIED.split("\n"), *SIGNED.split("\n"), "-- "]), max_size=40))
def test_no_word_is_lost_in_the_parts_of_a_mail(lines: list[str]) -> None:
    body = "\n".join(lines)
    marks = f"{FOLDED}|{SIGNATURE_FOLDED}|{FORWARDED}".replace("[", r"\[")
    shown = re.sub(marks, " ", "\n".join(mail_parts(mail(1, "s", body))))
    assert sorted(re.findall(r"\w+", shown)) == sorted(re.findall(r"\w+", body))


def test_a_hit_whose_word_stands_in_no_text_shows_the_beginning(inbox: Inbox) -> None:
    found = call(inbox, "search_emails", ResultStyle(), keywords=["files"], sent_before="2001-05-01")
    assert found.content.endswith("Ann Lee: Files | See both, not here. > quoted plan")


@settings(max_examples=150, deadline=None)
@given(
    st.integers(400, 3000),
    st.integers(1, 100),
    st.sampled_from([0, 160, 2000]),
    st.lists(st.sampled_from(["zeppelin", "round", "x" * 128, "nothing", "a b"]), min_size=1, max_size=16),
    st.integers(1, 4),
)
def test_no_result_exceeds_its_limit(
    inbox: Inbox, result_chars: int, hits: int, snippet: int, keywords: list[str], page: int
) -> None:
    style = ResultStyle(result_chars=result_chars, hits_per_page=hits, snippet_chars=snippet, show_thread=True)
    results = [call(inbox, "search_emails", style, keywords=keywords, page=page)]
    results += [call(inbox, "read_email", style, id=number, page=page) for number in (1, 2, 40)]
    results.append(call(inbox, "read_email", style, **{"x" * 5000: 1}))
    assert max(len(result.content) for result in results) <= result_chars


@pytest.mark.parametrize("result_chars", [400, 900, 5000])
def test_every_hit_and_every_word_is_reached_within_a_limit(inbox: Inbox, result_chars: int) -> None:
    style = ResultStyle(result_chars=result_chars)
    listed: list[str] = []
    for page in range(1, 40):
        result = call(inbox, "search_emails", style, keywords=["zeppelin"], page=page)
        if result.is_error:
            break
        listed += result.listed
        assert len(result.content.splitlines()) == 1 + len(result.listed)
    assert sorted(listed) == sorted(f"<{n}@x>" for n in (0, 1, *range(10, 40)))
    pages = [call(inbox, "read_email", style, id=2, page=page).content for page in range(1, 300)]
    text = " ".join(page.split("\n\n", 1)[1].rsplit("\n", 1)[0] for page in pages if "\n\n" in page)
    email = inbox.read(2, as_of=None).email
    assert text.split() == f"{email.body} To: {', '.join(map(str, email.to))}".split()


def test_long_lists_are_counted_and_stand_whole_on_the_last_pages(tmp_path: Path) -> None:
    people = [Address(f"Person Number {n}", f"person.number{n}@example.org") for n in range(500)]
    files = tuple(Attachment(f"file {n}.pdf", "application/pdf", 2_000 + n) for n in range(12))
    mails = [
        mail(1, "All", "Lunch at noon.", to=tuple(people), cc=tuple(people[:11]), attachments=files),
        mail(2, "s" * 90_000, "hi", sender=Address("n" * 90_000, "ann@x.org"), to=tuple(people[:11])),
    ]
    build_inbox(tmp_path / "m.db", "me", mails, owner=ME)
    inbox = Inbox.open(tmp_path / "m.db", "me")
    first = call(inbox, "read_email", ResultStyle(), id=1).content
    assert len(first) < 2_500
    lines = dict(line.split(": ", 1) for line in first.split("\n\n")[0].split("\n"))
    assert lines["To"] == ", ".join(map(str, people[:10])) + " and 490 more"
    assert lines["Cc"] == ", ".join(map(str, people[:11])), "one more takes no more room than its count"
    assert lines["Attachments"].endswith("file 9.pdf (2 kB) and 2 more")
    pages = [call(inbox, "read_email", ResultStyle(), id=1, page=page).content for page in range(2, 9)]
    whole = " ".join(page.split("\n\n", 1)[1].rsplit("\n", 1)[0] for page in pages)
    files_line = ", ".join(f"file {n}.pdf (2 kB)" for n in range(12))
    assert whole.split() == f"To: {', '.join(map(str, people))} Attachments: {files_line}".split()
    assert call(inbox, "read_email", ResultStyle(), id=1, page=9).is_error
    assert len(call(inbox, "read_email", ResultStyle(), id=2).content) < 3_000


def test_every_real_mail_configuration_has_a_limit_that_holds_its_pages() -> None:
    configs = [tomllib.loads(path.read_text()) for path in CONFIGS.glob("*.toml")]
    real = [config["env"] for config in configs if "mailbox" in config.get("data", {})]
    assert len(real) >= 2
    assert all(env["result_chars"] >= 2 * env.get("page_chars", 1200) for env in real)


def test_shortened_lines_are_announced(inbox: Inbox) -> None:
    content = call(inbox, "search_emails", ResultStyle(result_chars=400), keywords=["zeppelin"], order="newest").content
    assert content.splitlines()[0] == "32 found, page 1 of 7, lines shortened"
    assert all(line.endswith("...") for line in content.splitlines()[1:])
    roomy = call(inbox, "search_emails", ResultStyle(result_chars=9000), keywords=["zeppelin"]).content
    assert roomy == call(inbox, "search_emails", ResultStyle(), keywords=["zeppelin"]).content


def test_a_mail_names_its_thread_as_far_as_it_is_visible(inbox: Inbox) -> None:
    style = ResultStyle(show_thread=True)
    assert "\nThread: 1, 3, 4\n" in call(inbox, "read_email", style, id=3).content
    assert "\nThread: 1, 3\n" in call(inbox, "read_email", style, START + timedelta(days=2), id=3).content
    assert "Thread:" not in call(inbox, "read_email", style, START, id=1).content
    assert "Thread:" not in call(inbox, "read_email", style, id=2).content
    assert "Thread:" not in call(inbox, "read_email", ResultStyle(), id=3).content
    numbers = ", ".join(str(number) for number in range(35, 45))
    assert f"\nThread: {numbers}, ...\n" in call(inbox, "read_email", style, id=36).content
