"""The fast path: a message of one plain text part under plain ASCII headers, which most mail is.

Gives what the careful way (`parts`, `bodies`) gives, or None for anything that it is not sure of: a test compares the
two on whole mailboxes. Knows nothing of multiparts; never raises.
"""

from __future__ import annotations

import binascii
from functools import lru_cache

from inbox_env.ingest.bodies import tidy_text
from inbox_env.ingest.charsets import clean_text, decode_bytes, is_ascii_based
from inbox_env.ingest.headers import Headers, decode_base64_text, parameters, split_plain_headers

_CONTROLS = bytes(byte for byte in (*range(32), 127) if byte not in b"\t\n\r")
_AS_IT_IS = frozenset(("", "7bit", "8bit", "binary"))
_SEPARATOR = b"From "
_MAX_TYPE_CHARS = 200


def read_plain(raw: bytes) -> tuple[Headers, str] | None:
    """Return headers and text of a message that is one plain text part, or None."""
    if not raw[:1].isalpha() or raw.startswith(_SEPARATOR):
        return None
    split = split_plain_headers(raw)
    if split is None:
        return None
    headers, start, _ = split
    fields = headers.fields
    charset = _charset_of(headers.raw("content-type")[:_MAX_TYPE_CHARS])
    if charset is None or "content-disposition" in fields:
        return None
    body = raw[start:]
    encoding = headers.raw("content-transfer-encoding").strip().lower()
    if encoding not in _AS_IT_IS:
        if encoding == "quoted-printable":
            body = binascii.a2b_qp(body)
        elif encoding == "base64":
            body = decode_base64_text(body)
        else:
            return None
    return headers, _text(body, charset)


@lru_cache(maxsize=256)
def _charset_of(content_type: str) -> str | None:
    """The charset that a type of plain text names ("" when none), None when the type is any other."""
    if len(content_type) == _MAX_TYPE_CHARS:
        return None  # cut
    name, semicolon, _ = content_type.partition(";")
    if not name:
        return None if semicolon else ""
    if name.strip().lower() != "text/plain":
        return None
    found = parameters(content_type) if semicolon else {}
    return None if found.get("name") else found.get("charset", "")


def _text(body: bytes, charset: str) -> str:
    if body.isascii() and is_ascii_based(charset):
        text = body.decode("ascii")
        is_clean = len(body.translate(None, _CONTROLS)) == len(body) and "\r" not in text
        return tidy_text(text if is_clean else clean_text(text))
    return tidy_text(clean_text(decode_bytes(body, charset)))
