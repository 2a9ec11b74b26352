"""The HTML of a mail: harmless whatever it holds, kept when an import is asked to, served behind its own policy."""

from __future__ import annotations

import re
import time
from pathlib import Path

import httpx
import pytest

from inbox_env.importing.import_mail import import_mail
from inbox_env.ingest.parse import parse_email
from inbox_env.store import EmailStore
from scripts.playground.mail_html import page_of, sanitise
from tests.scripts.playground.served import served

HTML = '<p>The <b>price</b> is <font color="red">9 &euro;</font>.</p><img src="https://t.invalid/x.gif">'
HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)><script>alert(1)</script></svg>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "<iframe src=https://t.invalid></iframe><frame src=//t.invalid><object data=//t.invalid><embed src=//t.invalid>",
    "<a href=javascript:alert(1)>x</a><a href='https://t.invalid'>y</a><area href=//t.invalid>",
    "<form action=https://t.invalid><input name=a><button formaction=//t.invalid>go</button></form>",
    "<base href=https://t.invalid><meta http-equiv=refresh content='0;url=//t.invalid'>",
    "<link rel=stylesheet href=//t.invalid>",
    "<div style='background:url(https://t.invalid/a)'>x</div>",
    "<p style='behavior:url(#x);position:fixed;inset:0'>y</p>",
    "<style>@import '//t.invalid';</style><style>*{background:url(//t.invalid)}</style>",
    "<img srcset='//t.invalid 1x' src='data:image/svg+xml,<svg onload=alert(1)>'>",
    "<img src='//t.invalid/a'><img src='cid:part'><img src=' HTTPS://t.invalid/b'>",
    "<video src=//t.invalid poster=//t.invalid></video><audio src=//t.invalid></audio><td background=//t.invalid>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'></noscript><template><img src=x></template>",
    "</div></body></html><script>alert(1)</script><!--><script>alert(1)</script>-->",
)  # fmt: skip


@pytest.mark.parametrize("html", HOSTILE)
def test_f66_f67_nothing_runs_loads_links_or_submits(html: str) -> None:
    markup = sanitise(html).markup.lower()
    tags = re.findall(r"<[^>]*>", markup)
    assert not re.search(r"t\.invalid|javascript|url\(|position|\bon\w+\s*=", " ".join(tags))
    names = {re.match(r"</?([a-z0-9]*)", tag)[1] for tag in tags}  # type: ignore[index]
    assert not names & {"script", "style", "iframe", "frame", "object", "embed", "form", "input", "button", "base",
                        "meta", "link", "svg", "math", "video", "audio", "template", "noscript", "body"}  # fmt: skip
    assert "alert" not in re.sub(r"<[^>]*>|&lt;.*?&gt;", "", markup)
    assert not re.search(r"\s(?:href|srcset|poster|background|action)=", " ".join(tags))


def test_what_a_mail_looks_like_stays() -> None:
    safe = sanitise(HTML + "<img src='data:image/png;base64,AAAA'><span style='color:red;position:fixed'>s</span>")
    assert "<b>price</b>" in safe.markup
    assert '<font color="red">9 €</font>' in safe.markup
    assert "data:image/png;base64,AAAA" in safe.markup
    assert re.search(r'style="color: ?red;?"', safe.markup)
    assert safe.num_remote == 1
    assert "1 image from elsewhere not loaded" in page_of(HTML)
    assert "not loaded" not in page_of("<p>x</p>")


@pytest.mark.parametrize("bomb", ["<div>", "<b>", "<a href=x>", "<table><tr><td>", "<p style='color:red'>", "<font>"])
def test_f09_markup_that_would_choke_a_parser_is_neither_kept_nor_parsed(bomb: str) -> None:
    html = bomb * (500_000 // len(bomb))
    started = time.process_time()
    raw = b"From: a@x.org\nContent-Type: text/html\n\n" + html.encode()
    page_of(parse_email(raw, keep_html=True).html or "<p>none</p>")
    page_of(html)
    assert time.process_time() - started < 8


HEAD = "From x Mon Jan  1 00:00:00 2001\nMessage-ID: <{number}@x>\nFrom: a@x.org\nTo: me@x.org\nSubject: {subject}\n"
DATE = "Date: Mon, 1 Jan 2001 00:00:00 +0000\n"
PARTS = """Content-Type: multipart/alternative; boundary=b

--b
Content-Type: text/plain

plain {number}
--b
Content-Type: text/html; charset=utf-8

{html}
--b--

"""


def html_mail(number: int) -> bytes:
    head = HEAD.format(number=number, subject=f"s{number}") + DATE
    return (head + PARTS.format(number=number, html=HTML)).encode()


@pytest.mark.parametrize("workers", [1, 2])
def test_an_import_keeps_html_when_asked_to_and_another_import_keeps_what_is_there(
    tmp_path: Path, workers: int
) -> None:
    box, more = tmp_path / "a.mbox", tmp_path / "b.mbox"
    box.write_bytes(b"".join(html_mail(number) for number in range(3)))
    more.write_bytes(html_mail(7))
    import_mail([box], tmp_path / "with.db", "me", keep_html=True, num_workers=workers)
    import_mail([more], tmp_path / "with.db", "me", num_workers=workers)
    import_mail([box, more], tmp_path / "without.db", "me", num_workers=workers)
    kept = {}
    for name in ("with", "without"):
        store = EmailStore.open(tmp_path / f"{name}.db")
        kept[name] = {stored.email.subject: stored.email.html.strip() for stored in store.emails("me")}
        assert {stored.email.body for stored in store.emails("me")} == {f"plain {number}" for number in (0, 1, 2, 7)}
        store.close()
    assert kept["with"] == {"s0": HTML, "s1": HTML, "s2": HTML, "s7": ""}
    assert set(kept["without"].values()) == {""}


def test_f69_the_page_gets_the_html_behind_a_policy_that_allows_nothing(tmp_path: Path) -> None:
    box = tmp_path / "a.mbox"
    box.write_bytes(html_mail(1) + (HEAD.format(number=2, subject="plain") + DATE + "\ntext\n").encode())
    import_mail([box], tmp_path / "my.db", "me", keep_html=True)
    with served(tmp_path / "my.db", [], tmp_path) as url:
        mails = {
            hit["subject"]: hit["number"]
            for hit in httpx.get(f"{url}/api/mails", params={"inbox": "me"}).json()["hits"]
        }
        shown = {
            name: httpx.get(f"{url}/api/mail", params={"inbox": "me", "ref": ref}).json() for name, ref in mails.items()
        }
        pages = {
            name: httpx.get(f"{url}/api/mail/html", params={"inbox": "me", "ref": ref}) for name, ref in mails.items()
        }
    assert {name: mail["has_html"] for name, mail in shown.items()} == {"s1": True, "plain": False}
    assert "html" not in shown["s1"]
    policy = pages["s1"].headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none';")
    assert "frame-ancestors 'self'" in policy
    assert pages["s1"].headers["x-frame-options"] == "SAMEORIGIN"
    assert pages["s1"].headers["x-content-type-options"] == "nosniff"
    assert "<b>price</b>" in pages["s1"].text
    assert (pages["plain"].status_code, "--html" in pages["plain"].text) == (404, True)
