"""HTML mail made readable, whatever the markup does."""

from __future__ import annotations

import time
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbox_env.ingest.html_text import MAX_OPEN_TAGS, html_to_text
from inbox_env.ingest.parse import parse_email


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One<br>two &amp; <b>th</b>ree<p>four", "One\ntwo & three\n\nfour"),
        ("<head><title>t</title><style>p{}</style></head><script>bad()</script><!-- no -->yes", "yes"),
        ("<ul><li>one<li><p>two</p></ul>after", "- one\n\n- two\n\nafter"),
        ("<table><tr><td>Gas<td>3.45</tr><tr><td>Oil<td>19.10</table>", "Gas 3.45\n\nOil 19.10"),
        ("see <a href='https://x.org/?id=1'>our page</a>.", "see our page <https://x.org/?id=1>."),
        ("<a href='https://www.x.org/'>x.org</a> <a href='HTTP://X.org/a'>http://x.org/a</a>", "x.org http://x.org/a"),
        ("<a href=mailto:ann@x.org?subject=a>Ann</a>, <a href=mailto:b@x.org>b@x.org</a>", "Ann <ann@x.org>, b@x.org"),
        ("<a href=javascript:bad()>a</a> <a href='#top'>b</a> <a href=/x>c</a> <a href=ftp://x/y>d</a>", "a b c d"),
        ("<a href='https://x.org/a b<c>'>a</a> <a href=https://x.org/i><img src=i></a>end", "a end"),
        ("<div style='color:red; DISPLAY : none'>preheader</div><div hidden>x</div><p>shown", "shown"),
        ("<div style='display:none'>all that there is</div>", "all that there is"),
        ("a\u200b\u00adb\ufeff &zwnj;", "ab \u200c"),
        ("<pre>a\n  b</pre>", "a\nb"),
        ("x < y and <unknown>z</unknown>", "x < y and z"),
        ("<blockquote>old</blockquote>new", "old\nnew"),
        ("", ""),
    ],
)  # fmt: skip
def test_markup_becomes_lines(html: str, text: str) -> None:
    assert html_to_text(html) == text


def test_long_addresses_and_those_of_newsletters_are_not_told() -> None:
    assert html_to_text(f"<a href=https://x.org/{'a' * 200}>one</a>") == "one"
    links = [f"<a href=https://x.org/{number}>go</a>" for number in range(11)]
    assert html_to_text(" ".join(links)) == " ".join(["go"] * 11)
    assert html_to_text(" ".join(links[:10])).count("<https://x.org/") == 10


@given(
    st.lists(
        st.sampled_from(
            [*"<>/&;!-\"' x", "<p", "<div>", "</b>", "<!--", "<table><", "<svg><style>", "\ud7ff", "<plaintext>"]
        )
    )
)
def test_any_markup_is_read(pieces: list[str]) -> None:
    text = html_to_text("".join(pieces))
    assert "\x1e" not in text
    assert html_to_text("x" + "".join(pieces) + "\x1e") is not None


BOMBS = {
    "blocks": "<div>" * 400_000,
    "bold": "<b>" * 600_000,
    "open formatting": "<p>" + "".join(f"<b a={n}>" for n in range(900)) + "</p>" + "<p>x</p>" * 200_000,
    "closed otherwise": "".join(f"<b a={n}></i>" for n in range(3_000)) + "<p>x</p>" * 100_000,
    "paragraphs": "<p>x" * 150_000,
    "tables": "<table><tr><td>" * 100_000,
    "attributes": "<a " + "b=c " * 400_000,
    "comments": "<!--" * 400_000,
    "entities": "&amp;" * 400_000,
    "just under": "<div>" * (MAX_OPEN_TAGS - 1) + "<p>x</p>" * 1_900,
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_read_in_bounded_time(name: str) -> None:
    started = time.process_time()
    html_to_text(BOMBS[name])
    assert time.process_time() - started < 6


@pytest.mark.parametrize(
    ("plain", "html", "body"),
    [
        ("Your mail client does not support HTML.", "<p>The meeting is moved to Friday, ten o'clock.", "The meeting"),
        ("Um diese Nachricht zu lesen, verwenden Sie bitte ein HTML-fähiges Programm: Ihr Programm kann HTML nicht "
         "anzeigen, nicht als HTML.", "<p>" + "Der Preis ist 3,40. " * 20, "Der Preis"),
        ("To view this message, please use an HTML compatible email viewer!", "<p>" + "News " * 30, "News"),
        ("I will view the HTML later.", "<p>I will view the <b>HTML</b> later.", "I will view the HTML"),
        ("It is on Friday.", "<p>It is on <b>Friday</b>, in the big room upstairs.", "It is on Friday."),
        ("", "<p>only HTML", "only HTML"),
    ],
)  # fmt: skip
def test_a_plain_part_that_only_sends_to_the_html_loses(plain: str, html: str, body: str) -> None:
    made = EmailMessage()
    made.set_content(plain)
    made.add_alternative(html, subtype="html")
    assert parse_email(made.as_bytes()).body.startswith(body)
