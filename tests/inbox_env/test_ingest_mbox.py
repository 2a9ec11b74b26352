"""Splitting mbox files."""

from __future__ import annotations

import io
import mailbox
from email.message import Message
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbox_env.ingest import mbox_split
from inbox_env.ingest.mbox import read_mbox
from inbox_env.ingest.records import RawMail, Reject

LINE = b"From MAILER-DAEMON Mon Apr 18 14:26:12 2022\n"


def read(data: bytes, path: str = "x.mbox") -> list[RawMail | Reject]:
    return list(read_mbox(io.BytesIO(data), path, "x"))


def raws(data: bytes, path: str = "x.mbox") -> list[bytes]:
    return [item.raw for item in read(data, path) if isinstance(item, RawMail)]


BODY = st.lists(
    st.sampled_from([b"word", b"", b"From me", b"From Ann", b">From x", b"From a Mon Jan  1 00:00:00 2001", b"\xff"]),
    max_size=6,
).map(b"\n".join)


@given(st.lists(BODY, min_size=1, max_size=5), st.integers(1, 300))
def test_escaped_messages_come_back_whatever_the_chunk_size(bodies: list[bytes], chunk: int) -> None:
    written = b"".join(
        LINE + b"Subject: s\n\n" + b"".join(_escaped(line) + b"\n" for line in body.split(b"\n")) + b"\n"
        for body in bodies
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mbox_split, "CHUNK_BYTES", chunk)
        patch.setattr(mbox_split, "LOOKAHEAD_BYTES", 80)
        assert raws(written, "x.mboxrd") == [b"Subject: s\n\n" + body + b"\n" for body in bodies]


def test_no_message_is_lost_where_chunks_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mbox_split, "CHUNK_BYTES", 1_000)
    monkeypatch.setattr(mbox_split, "LOOKAHEAD_BYTES", 200)
    message = LINE + b"Subject: a\n\n%s\n\n" % (b"word " * 16)
    for shift in range(len(message)):
        first = LINE + b"Subject: a\n\n" + b"x" * shift + b"\n\n"
        assert len(raws(first + message * 40)) == 41


def _escaped(line: bytes) -> bytes:
    return b">" + line if line.lstrip(b">").startswith(b"From ") else line


def test_offsets_point_at_the_separators() -> None:
    data = (LINE + b"Subject: a\n\nx\n\n") * 3
    for item in read(data):
        assert data[item.offset :].startswith(b"From MAILER")
    assert [item.offset for item in read(data)] == [0, len(data) // 3, 2 * len(data) // 3]


def test_what_the_standard_library_writes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "std.mbox"
    box = mailbox.mbox(path)
    for number in range(5):
        message = Message()
        message["Subject"] = f"mail {number}"
        message.set_payload(f"From here\nit goes {number}\n")
        box.add(message)
    box.close()
    assert [raw.split(b"\n\n", 1)[1] for raw in raws(path.read_bytes())] == [
        f"From here\nit goes {number}\n".encode() for number in range(5)
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"From ann@x.org Sat Jan  3 01:05:34 1996\n",
        b"From ann@x.org Sat Jan  3 01:05:34 -0800 1996\n",
        b"From ann@x.org Sat Jan  3 01:05:34 PST 1996\r\n",
        b"From 1718395824376789@xxx Sat Nov 22 00:12:45 +0000 2014\n",
        b"From ann@x.org  Sat, 22 Nov 2014 00:12:45 +0000\n",
        b"From - Tue Jan  2 10:00:00 2001\n",
        b"From -\n",
        b"From ann smith Sat Jan  3 01:05 1996 remote from host\n",
    ],
)
def test_separators_in_use_are_known(line: bytes) -> None:
    assert raws((line + b"Subject: a\n\nx\n\n") * 2) == [b"Subject: a\n\nx\n"] * 2


def test_a_message_over_the_limit_keeps_its_start_and_the_next_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mbox_split, "CHUNK_BYTES", 10_000)
    monkeypatch.setattr(mbox_split, "MAX_MESSAGE_BYTES", 50_000)
    monkeypatch.setattr(mbox_split, "KEPT_OF_TOO_LARGE", 1_000)
    small = LINE + b"Subject: small\n\nx\n\n"
    large = LINE + b"Subject: large\n\n" + b"y" * 79 * 2_000 + b"\n\n"
    items = read(small + large + small)
    assert [len(item.raw) < 1_001 for item in items if isinstance(item, RawMail)] == [True] * 3
    assert [item.defects for item in items if isinstance(item, RawMail)] == [(), ("too_large",), ()]
    assert items[2].offset == len(small) + len(large)


def test_the_separators_date_is_kept() -> None:
    first = read(LINE + b"Subject: a\n\nx\n")[0]
    assert isinstance(first, RawMail)
    assert str(first.envelope_date) == "2022-04-18 14:26:12+00:00"
