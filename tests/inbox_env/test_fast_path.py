"""The fast path gives what the careful way gives: on real mail, on odd mail and on invented mail."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbox_env.ingest.dates import parse_date, parse_odd_date
from inbox_env.ingest.headers import split_odd_headers
from inbox_env.ingest.mbox import read_mbox
from inbox_env.ingest.parse import parse_carefully, parse_email
from inbox_env.ingest.plain import read_plain
from inbox_env.ingest.records import RawMail


def is_equal(raw: bytes) -> bool:
    return parse_email(raw, folder="f") == parse_carefully(raw, folder="f", split=split_odd_headers)


def mails(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        for item in read_mbox(stream, str(path), "f"):
            if isinstance(item, RawMail):
                yield item.raw


def test_real_mail_is_read_alike_and_mostly_fast(shared_data: Path) -> None:
    num_fast = num_all = 0
    for owner in sorted((shared_data / "enron_mbox").iterdir()):
        for path in sorted(owner.glob("*.mbox"))[:4]:
            for raw in islice(mails(path), 60):
                assert is_equal(raw), f"{path} {raw[:80]!r}"
                num_fast += read_plain(raw) is not None
                num_all += 1
    assert num_all > 1_000
    assert num_fast > 0.95 * num_all


@pytest.mark.slow
def test_all_real_mail_is_read_alike(shared_data: Path) -> None:
    for path in sorted((shared_data / "enron_mbox").rglob("*.mbox")):
        for raw in mails(path):
            assert is_equal(raw), f"{path} {raw[:80]!r}"
            assert is_equal(raw.replace(b"\n", b"\r\n")), f"{path} {raw[:80]!r}"
    for path in sorted((shared_data / "enron_maildir").rglob("*")):
        assert path.is_dir() or is_equal(path.read_bytes()), path


def test_odd_and_modern_mail_is_read_alike(shared_data: Path) -> None:
    for path in sorted((shared_data / "odd_mail").rglob("*")):
        if path.is_file() and path.stat().st_size < 1_000_000 and "archives" not in path.parts:
            raws = mails(path) if path.suffix == ".mboxrd" else [path.read_bytes()]
            for raw in raws:
                assert is_equal(raw), path
                assert is_equal(raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")), path


LINES = st.sampled_from(
    [
        *(
            "From: a@x.org",
            "From:b",
            " folded",
            "\tfolded",
            "",
            "To : c@x.org",
            "Subject: =?utf-8?q?=C3=A9?=",
            "X:\x01,s",
        ),
        *(
            "Content-Type: text/plain; charset=utf-7",
            "Content-Type: text/plain",
            "Content-Type: text/html",
            ":",
            "a b: c",
        ),
        *("Content-Transfer-Encoding: base64", "Content-Transfer-Encoding: quoted-printable", "=C3=A9=", "w6k=", "x  "),
        *(
            "Content-Type: text/plain; charset=iso-2022-jp",
            "\x1b$B$3",
            "+AGE-",
            "é",
            "\xa0",
            "body",
            "Date: x",
            "From x",
        ),
        *("Content-Disposition: attachment", "Content-Type: text/plain; name=x", "Content-Type: text/plain charset=hz"),
        "Date: Mon, 20 Nov 2000 06:27:00 -0800 (PST)",
    ]
)


@given(st.lists(st.tuples(LINES, st.sampled_from(["\n", "\r\n", "\n", "\r"])), max_size=14))
def test_invented_mail_is_read_alike(lines: list[tuple[str, str]]) -> None:
    assert is_equal("".join(line + end for line, end in lines).encode("utf-8", "surrogatepass"))


@given(
    st.sampled_from(["", "Mon, ", "Tue, "]),
    *(st.integers(*bounds) for bounds in ((0, 33), (0, 12), (1900, 2099), (0, 26), (0, 62), (0, 62))),
    st.sampled_from(["+0000", "-0000", "-0800 (PST)", "+0530", "+1400", "-1259", "+0060", "+1959", "+2400", "GMT", ""]),
)
def test_usual_dates_are_read_as_the_standard_library_reads_them(
    weekday: str, day: int, month: int, year: int, hour: int, minute: int, second: int, zone: str
) -> None:
    name = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec Foo".split()[month]
    value = f"{weekday}{day} {name} {year} {hour:02}:{minute:02}:{second:02} {zone}"
    assert parse_date(value) == parse_odd_date(value)
