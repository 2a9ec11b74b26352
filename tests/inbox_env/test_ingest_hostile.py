"""Whatever the bytes of a file are, it is refused in one line or every item of it comes; nothing else happens."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import plistlib
import tarfile
import time
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inbox_env.errors import MailsleuthError
from inbox_env.ingest.labels import all_labels
from inbox_env.ingest.records import RawMail, Reject, Skipped
from inbox_env.ingest.sources import find_source, read_source

LINE = b"From ann@x.org Mon Apr 18 14:26:12 2022\n"
MAIL = b"From: a@x.org\nSubject: s\n\nbody\n"
SUFFIXES = (
    "",
    ".mbox",
    ".mboxcl2",
    ".mboxrd",
    ".eml",
    ".emlx",
    ".csv",
    ".jsonl",
    ".parquet",
    ".zip",
    ".tar",
    ".gz",
    ".mbox.gz",
)


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a/b.mbox", LINE + MAIL)
        packed.writestr("c.eml", MAIL)
    return stream.getvalue()


def tarred() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as packed:
        for name in ("cur/1:2,S", "x/2."):
            info = tarfile.TarInfo(name)
            info.size = len(MAIL)
            packed.addfile(info, io.BytesIO(MAIL))
    return stream.getvalue()


SEEDS = [
    LINE + MAIL + b"\n" + LINE + MAIL,
    LINE + b"Content-Length: 5\n" + MAIL + b"\n" + LINE + b"Content-Length: 99999999999\n" + MAIL,
    b"%d\n" % len(MAIL) + MAIL + plistlib.dumps({"flags": 3}),
    b'file,message\n"a/b/1.","From: x\n\nbody"\n',
    b'{"message_id": "<1@x>", "from": "a@x.org", "body": "b", "date": 1e99}\n[]\n',
    b"message_id,from,to,body,date\n1,a@x,\"['b@y']\",text,2001-01-01\n",
    b"PAR1" + b"\x15\x04" * 40 + b"PAR1",
    zipped(),
    tarred(),
    gzip.compress(tarred()),
    gzip.compress(LINE + MAIL),
    bz2.compress(LINE + MAIL),
    lzma.compress(LINE + MAIL),
]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 20_000), st.binary(max_size=6)), max_size=6),
    st.sampled_from(SUFFIXES),
)
def test_damaged_files_of_every_kind_give_items_or_one_line(
    tmp_path: Path, seed: bytes, changes: list[tuple[int, bytes]], suffix: str
) -> None:
    data = bytearray(seed)
    for position, new in changes:
        start = position % (len(data) + 1)
        data[start : start + len(new)] = new
    path = tmp_path / f"file{suffix}"
    path.write_bytes(data)
    try:
        source = find_source(path)
    except MailsleuthError:
        return
    items = list(read_source(source))
    assert items
    assert all(isinstance(item, RawMail | Reject | Skipped) for item in items)
    folder_items = list(read_source(find_source(tmp_path)))
    assert len(folder_items) >= 1


@pytest.mark.parametrize(
    "data",
    [
        (LINE + b"Note: x\n") * 40_000,
        (LINE + b"A:" + b"\n " * 2_000 + b"\n") * 200,
        b"\nFrom " * 100_000,
        (b"\n" + LINE) * 40_000,
        LINE + b"Content-Length: 90000000\n\n" + (b"\n" + LINE + b"Content-Length: 90000000\nTo: x\n\n") * 20_000,
        LINE + MAIL + b"\0From " * 100_000,
        LINE + b"X-Gmail-Labels: " + b'"' * 500_000 + b"\n\nx\n",
    ],
    ids=range(7),
)
def test_no_mbox_takes_long(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.mbox"
    path.write_bytes(data)
    started = time.process_time()
    with suppress(MailsleuthError):
        list(read_source(find_source(path)))
    assert time.process_time() - started < 5


@pytest.mark.parametrize("value", ['"' * 50_000, '"a,' * 20_000, '\\"' * 30_000, '"' + "\\" * 60_000, "a," * 30_000])
def test_no_labels_take_long(value: str) -> None:
    started = time.process_time()
    all_labels(value)
    assert time.process_time() - started < 1
