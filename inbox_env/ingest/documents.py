"""The text of attached documents: .docx by python-docx, .pdf by pypdf (the `documents` extra), .ics, and plain text.

Documents are hostile: everything is bounded, and one that cannot be read gives None, never an exception.
Knows nothing of mails.
"""

from __future__ import annotations

import io
import logging
import time
import zipfile
from importlib.util import find_spec
from pathlib import PurePath
from typing import Literal

from inbox_env.errors import UsageError
from inbox_env.ingest.calendars import calendar_text
from inbox_env.ingest.charsets import clean_text, decode_bytes
from inbox_env.ingest.html_text import html_to_text

MAX_DOCUMENT_BYTES = 5_000_000
MAX_DOCUMENT_CHARS = 100_000
MAX_PAGES = 200
MAX_PAGE_BYTES = 2_000_000  # of a PDF page's instructions, decompressed
MAX_UNZIPPED_BYTES = 30_000_000
MAX_ZIPPED_FILES = 2_000
MAX_PDF_SECONDS = 10.0  # of CPU, looked at between pages
_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_SEPARATORS = {f"{_WORD}tab": "\t", f"{_WORD}br": "\n", f"{_WORD}cr": "\n", f"{_WORD}tc": " "}

DocumentKind = Literal["text", "html", "calendar", "docx", "pdf"]
_BY_TYPE: dict[str, DocumentKind] = {
    "text/html": "html",
    "text/calendar": "calendar",
    "application/ics": "calendar",
    "application/pdf": "pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
}
_BY_SUFFIX: dict[str, DocumentKind] = {
    ".pdf": "pdf",
    ".docx": "docx",
    ".ics": "calendar",
    ".html": "html",
    ".htm": "html",
    **dict.fromkeys((".txt", ".csv", ".md", ".log", ".tsv", ".xml", ".json"), "text"),
}


def check_document_readers() -> None:
    """Raise UsageError when the libraries that read documents are not installed."""
    missing = [name for name in ("pypdf", "docx") if find_spec(name) is None]
    if missing:
        next_step = "pip install 'mailsleuth[documents]', or import without the text of attachments"
        raise UsageError(66, "the text of attachments needs an extra", where=", ".join(missing), next_step=next_step)


def document_kind(name: str, content_type: str) -> DocumentKind | None:
    """Return what reads a document of this name and type, or None when nothing does."""
    kind = _BY_TYPE.get(content_type) or _BY_SUFFIX.get(PurePath(name).suffix.lower())
    return kind or ("text" if content_type.startswith("text/") else None)


def document_text(kind: DocumentKind, data: bytes, charset: str = "") -> str | None:
    """Return the clean text, at most `MAX_DOCUMENT_CHARS` of it; None when the document cannot be read."""
    if len(data) > MAX_DOCUMENT_BYTES:
        return None
    try:
        text = _read(kind, data, charset)
    except Exception:  # libraries fail in every way on hostile documents; the mail itself is still good
        return None
    return clean_text(text[:MAX_DOCUMENT_CHARS]).strip()


def _read(kind: DocumentKind, data: bytes, charset: str) -> str:
    if kind == "docx":
        return _docx(data)
    if kind == "pdf":
        return _pdf(data)
    text = clean_text(decode_bytes(data, charset))
    return html_to_text(text) if kind == "html" else calendar_text(text) if kind == "calendar" else text


def _docx(data: bytes) -> str:
    from docx import Document

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = archive.infolist()
        if len(files) > MAX_ZIPPED_FILES or sum(file.file_size for file in files) > MAX_UNZIPPED_BYTES:
            raise ValueError("too large when unpacked")
    pieces: list[str] = []
    num_chars = 0
    for element in Document(io.BytesIO(data)).element.body.iter():
        # The cells that the library offers repeat merged ones as often as the file says: the elements do not.
        piece = element.text or "" if element.tag == f"{_WORD}t" else _SEPARATORS.get(element.tag, "")
        pieces.append("\n" if element.tag == f"{_WORD}p" else piece)
        num_chars += len(piece)
        if num_chars > MAX_DOCUMENT_CHARS:
            break
    lines = (line.strip() for line in "".join(pieces).split("\n"))
    return "\n".join(line for line in lines if line)


def _pdf(data: bytes) -> str:
    from pypdf import PdfReader

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # its warnings quote the document
    reader = PdfReader(io.BytesIO(data), strict=False)
    deadline = time.process_time() + MAX_PDF_SECONDS
    pages: list[str] = []
    for number, page in enumerate(reader.pages):
        if number >= MAX_PAGES or sum(map(len, pages)) > MAX_DOCUMENT_CHARS or time.process_time() > deadline:
            break
        contents = page.get_contents()
        if contents is not None and len(contents.get_data()) <= MAX_PAGE_BYTES:
            pages.append(page.extract_text().strip())
    return "\n\n".join(page for page in pages if page)
