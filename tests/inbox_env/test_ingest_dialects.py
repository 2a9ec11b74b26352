"""The dialects of mbox: what is written comes back, and what is doubtful is said."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbox_env.ingest import mbox_split
from inbox_env.ingest.mbox import read_mbox
from inbox_env.ingest.records import RawMail, Reject

LINE = b"From ann@x.org Mon Apr 18 14:26:12 2022\n"
HEAD = b"From: ann@x.org\nSubject: s\n"


def read(data: bytes, path: str = "x.mbox") -> list[RawMail | Reject]:
    return list(read_mbox(io.BytesIO(data), path, "x"))


def mails(data: bytes, path: str = "x.mbox") -> list[RawMail]:
    return [item for item in read(data, path) if isinstance(item, RawMail)]


LINES = st.sampled_from(
    [b"word", b"", b"From me", b"From Ann it is", b">From x", b">>From y", b"From a Mon Jan  1 00:00:00 2001",
     b"Subject: z", b"Content-Length: 3", b"\xff\x80", b"> quoted", b"."]
)  # fmt: skip
# A mail's body ends with a line end; an mbox adds the blank line that parts it from the next one.
BODIES = st.lists(st.lists(LINES, max_size=8).map(lambda lines: b"".join(line + b"\n" for line in lines)), min_size=1,
                  max_size=6)  # fmt: skip


def escape(body: bytes, is_escaped: Callable[[bytes], bool]) -> bytes:
    lines = body.split(b"\n")
    return b"\n".join(b">" + line if is_escaped(line) else line for line in lines)


def write_mboxrd(bodies: list[bytes]) -> bytes:
    return b"".join(
        LINE + HEAD + b"\n" + escape(body, lambda line: line.lstrip(b">").startswith(b"From ")) + b"\n"
        for body in bodies
    )


def write_mboxo(bodies: list[bytes]) -> bytes:
    return b"".join(
        LINE + HEAD + b"\n" + escape(body, lambda line: line.startswith(b"From ")) + b"\n" for body in bodies
    )


def write_mboxcl2(bodies: list[bytes]) -> bytes:
    return b"".join(LINE + HEAD + b"Content-Length: %d\n\n" % len(body) + body + b"\n" for body in bodies)


def write_mboxcl(bodies: list[bytes]) -> bytes:
    written = [escape(body, lambda line: line.startswith(b"From ")) for body in bodies]
    return write_mboxcl2(written)


def body_of(mail: RawMail) -> bytes:
    return mail.raw.split(b"\n\n", 1)[1]


@settings(max_examples=150)
@given(BODIES, st.integers(1, 400), st.booleans())
def test_mboxrd_comes_back_exactly(bodies: list[bytes], chunk: int, has_crlf: bool) -> None:
    data = write_mboxrd(bodies)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mbox_split, "CHUNK_BYTES", chunk)
        patch.setattr(mbox_split, "LOOKAHEAD_BYTES", 100)
        found = mails(data.replace(b"\n", b"\r\n") if has_crlf else data, "x.mboxrd")
    assert [body_of_crlf(mail) if has_crlf else body_of(mail) for mail in found] == bodies


def body_of_crlf(mail: RawMail) -> bytes:
    assert b"\n" not in mail.raw.replace(b"\r\n", b"")
    return mail.raw.replace(b"\r\n", b"\n").split(b"\n\n", 1)[1]


@settings(max_examples=150)
@given(BODIES, st.integers(1, 400))
def test_mboxo_and_mboxcl_come_back_but_for_what_they_cannot_say(bodies: list[bytes], chunk: int) -> None:
    """In these dialects ">From " in a body may have been there before: nobody can tell."""
    bodies = [body.replace(b">From", b"> From") for body in bodies]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mbox_split, "CHUNK_BYTES", chunk)
        patch.setattr(mbox_split, "LOOKAHEAD_BYTES", 100)
        assert [body_of(mail) for mail in mails(write_mboxo(bodies), "x.mboxo")] == bodies
        assert [body_of(mail) for mail in mails(write_mboxcl(bodies), "x.mboxcl")] == bodies


@settings(max_examples=150)
@given(BODIES, st.integers(1, 400))
def test_mboxcl2_comes_back_exactly_with_from_lines_unescaped(bodies: list[bytes], chunk: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mbox_split, "CHUNK_BYTES", chunk)
        patch.setattr(mbox_split, "LOOKAHEAD_BYTES", 100)
        assert [body_of(mail) for mail in mails(write_mboxcl2(bodies), "x.mboxcl2")] == bodies


@given(st.binary(max_size=400), st.integers(1, 50))
def test_any_bytes_are_read_and_no_word_of_them_is_lost(data: bytes, chunk: int) -> None:
    data = data.replace(b"\x07", b"\nFrom ").replace(b"\x08", LINE + HEAD + b"\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mbox_split, "CHUNK_BYTES", chunk)
        patch.setattr(mbox_split, "LOOKAHEAD_BYTES", 100)
        pieces = list(mbox_split.split_mbox(io.BytesIO(data)))
    assert b"".join(piece.data for piece in pieces).replace(b"\r", b"\n") == data.replace(b"\r", b"\n")
    assert [piece.offset for piece in pieces] == sorted({piece.offset for piece in pieces})


def test_a_content_length_that_lies_is_not_believed() -> None:
    for length in (0, 3, 5, 999, 10**11):
        mail = LINE + HEAD + b"Content-Length: %d\n\nbody body\n\n" % length
        assert [body_of(one) for one in mails(mail * 3)] == [b"body body\n"] * 3


def test_an_mbox_as_an_attachment_is_one_mail_where_the_length_says_so() -> None:
    inner = (LINE + HEAD + b"\ninner\n\n") * 2
    found = mails(write_mboxcl2([inner, b"next\n"]), "x")
    assert [body_of(mail) for mail in found] == [inner, b"next\n"]


def test_separators_without_blank_lines_are_found() -> None:
    one = LINE + b"From: a@x.org\nSubject: s\n\nbody"
    found = mails(b"\n".join([one] * 3) + b"\n")
    assert [body_of(mail) for mail in found] == [b"body\n", b"body\n", b"body\n"]
    assert [mail.defects for mail in found] == [(), (), ()]


def test_a_separator_without_blank_line_among_others_is_taken_and_said() -> None:
    whole = LINE + HEAD + b"\nbody\n\n"
    cut = LINE + HEAD + b"\nbody cut off\n"
    found = mails(whole * 2 + cut + whole)
    assert [mail.defects for mail in found] == [(), (), (), ("no_blank_line_before",)]


@pytest.mark.parametrize(
    "text",
    [
        b"From here on it is better\n",
        b"From ann@x.org Mon Apr 18 14:26:12 2022\nand on it goes\n",
        b"\nFrom ann@x.org Mon Apr 18 14:26:12 2022\nand on it goes\n",
        b"\nFrom ann@x.org Mon Apr 18 14:26:12 2022\n\nand on it goes\n",
        b"\nFrom Monday on the time is 12:00 for all of 2001:\nSubject: none\n",
        b"From ann@x.org Mon Apr 18 14:26:12 2022\nSubject: quoted without a blank line before, one field only\n",
    ],
)
def test_text_that_looks_like_a_separator_is_text(text: bytes) -> None:
    data = LINE + HEAD + b"\nfirst\n" + text + b"\n" + LINE + HEAD + b"\nsecond\n"
    found = mails(data)
    assert [body_of(mail) for mail in found] == [b"first\n" + text, b"second\n"]
    assert ("unescaped_from_line" in found[0].defects) == (b"Apr 18" in text)


def test_the_dialect_is_learned_from_the_mails() -> None:
    twice = LINE + HEAD + b"\nA line:\n\n>>From there\n\nend\n\n"
    assert body_of(mails(twice)[0]) == b"A line:\n\n>From there\n\nend\n"
    quoted = LINE + HEAD + b"\n>> old\n>>From there\n>> end\n\n"
    assert body_of(mails(quoted)[0]) == b">> old\n>>From there\n>> end\n"
    public_inbox = quoted.replace(b"From ann@x.org", b"From mboxrd@z", 1)
    assert body_of(mails(public_inbox)[0]) == b">> old\n>From there\n>> end\n"


def test_a_hole_of_nul_bytes_between_mails_hides_none() -> None:
    one = LINE + HEAD + b"\nbody\n\n"
    found = mails(one + b"\0" * 50_000 + one + b"\0" * 10)
    assert [mail.defects for mail in found] == [("nul_bytes",), ("no_final_newline", "nul_bytes")]
    assert [body_of(mail).strip() for mail in found] == [b"body", b"body"]


def test_the_line_ends_of_an_old_macintosh_are_line_ends() -> None:
    data = b"From ???@??? Mon Apr 18 14:26:12 1996\n" + HEAD + b"\nbody\n\n"
    found = mails((data * 3).replace(b"\n", b"\r"))
    assert [body_of(mail) for mail in found] == [b"body\n"] * 3
    assert [mail.offset for mail in found] == [0, len(data), 2 * len(data)]
    assert mbox_split.starts_mbox(data.replace(b"\n", b"\r"))
