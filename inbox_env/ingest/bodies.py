"""What a person reads of a MIME tree: one plain text, and a list of what is attached. Knows nothing of addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from inbox_env.emails import Attachment
from inbox_env.ingest.calendars import calendar_text
from inbox_env.ingest.charsets import clean_text, decode_bytes
from inbox_env.ingest.documents import MAX_DOCUMENT_BYTES, document_kind, document_text
from inbox_env.ingest.headers import decode_words
from inbox_env.ingest.html_text import MAX_HTML_CHARS, html_to_text, is_html_bomb
from inbox_env.ingest.parts import Part

MAX_ATTACHED_CHARS = 500_000
_MARKUP = frozenset(("text/html", "text/enriched", "text/richtext"))
_ELSEWHERE = frozenset(("message/external-body", "text/calendar", "text/x-vcard", "text/vcard"))
_MAX_STUB_CHARS = 600
_STUB = re.compile(  # a plain part that only sends its reader to the HTML part
    r"(?:does not|doesn['’]t|do not|don['’]t|cannot|can['’]t|not able to|unable to|nicht|pas|no puede|non)\b.{0,60}"
    r"\b(?:support|display|view|read|show|render|anzeigen|darstellen|unterstützt|afficher|mostrar|visualizzare)\w*\b"
    r".{0,40}\bHTML\b"
    r"|\bHTML[ -](?:compatible|capable|enabled|format|version|mail).{0,60}\b(?:client|reader|viewer|program|browser)"
    r"|\bview\w* (?:this|the) (?:e-?mail|message|newsletter).{0,60}\b(?:HTML|browser)\b",
    re.IGNORECASE | re.DOTALL,
)
_BLANKS = frozenset(("\n", " ", "\t"))
_LEADING_BLANK_LINES = re.compile(r"\A(?:[ \t]*+\n)++")


def body_text(root: Part) -> str:
    """Return the text of the message with "\\n" line ends: plain text where there is any, else HTML made readable."""
    text = _without_blank_ends(_text_of(root, is_root=True))
    return text or "\n\n".join(filter(None, (_invitation(leaf) for leaf in root.leaves())))


def html_source(root: Part) -> str:
    """Return the markup of the first HTML part that is shown; "" when there is none or it would choke a parser."""
    part = next((leaf for leaf in root.leaves() if leaf.content_type == "text/html" and not _is_attachment(leaf)), None)
    if part is None:
        return ""
    html = clean_text(decode_bytes(part.content(), part.params.get("charset", "")))
    return "" if len(html) > MAX_HTML_CHARS or is_html_bomb(html) else html


def tidy_text(text: str) -> str:
    """Return clean text without space at the ends of lines and blank lines at either end."""
    return _without_blank_ends(_without_trailing_space(text))


def list_attachments(root: Part) -> tuple[Attachment, ...]:
    """Return every part that `body_text` does not show: named, marked as attachment, or no text."""
    return tuple(map(_attachment, _attached(root)))


def read_attachments(root: Part) -> tuple[tuple[Attachment, ...], bool]:
    """Return what `list_attachments` does with the text of the documents, and whether some could not be read."""
    room, is_unread, found = MAX_ATTACHED_CHARS, False, []
    for leaf in _attached(root):
        attachment = _attachment(leaf)
        kind = document_kind(attachment.name, attachment.content_type)
        is_small = attachment.size <= MAX_DOCUMENT_BYTES and room > 0
        text = document_text(kind, leaf.content(), leaf.params.get("charset", "")) if kind and is_small else None
        is_unread = is_unread or (kind is not None and text is None)
        found.append(replace(attachment, text=(text or "")[:room]))
        room -= len(text or "")
    return tuple(found), is_unread


def _attached(root: Part) -> Iterator[Part]:
    for leaf in root.leaves():
        if _is_attachment(leaf) and (leaf is not root or not _is_text(leaf)):
            yield leaf


def _invitation(part: Part) -> str:
    if part.content_type != "text/calendar":
        return ""
    return calendar_text(clean_text(decode_bytes(part.content(), part.params.get("charset", ""))))


def _text_of(part: Part, *, is_root: bool = False) -> str:
    if part.content_type == "multipart/alternative" and part.children:
        return _best_of(part.children)
    if part.children:
        texts = [_text_of(child) for child in part.children]
        if part.content_type.startswith("message/"):
            texts.insert(0, _forwarded_heading(part.children[0]))
        return "\n\n".join(text for text in texts if text.strip())
    return _leaf_text(part) if is_root or not _is_attachment(part) else ""


def _best_of(alternatives: tuple[Part, ...]) -> str:
    """The text of the plainest alternative; several plain ones are no alternatives, whatever their container says."""
    ranked = sorted(alternatives, key=_rank)
    stub = ""
    for choice in ranked:
        if choice.content_type == "text/plain":
            texts = [_text_of(part) for part in ranked if part.content_type == "text/plain"]
            text = "\n\n".join(text for text in dict.fromkeys(texts) if text.strip())
        else:
            text = _text_of(choice)
        if not stub and _says_only_to_read_html(text):
            stub = text
        elif text.strip():
            return text if len(text) > len(stub) else stub
    return stub


def _says_only_to_read_html(text: str) -> bool:
    return len(text) < _MAX_STUB_CHARS and _STUB.search(text) is not None


def _rank(part: Part) -> int:
    kinds = [leaf.content_type for leaf in islice(part.leaves(), 20)]
    return 0 if "text/plain" in kinds else 1 if "text/html" in kinds else 2


def _leaf_text(part: Part) -> str:
    if not _is_text(part):
        return ""
    text = clean_text(decode_bytes(part.content(), part.params.get("charset", "")))
    return html_to_text(text) if part.content_type in _MARKUP else _without_trailing_space(text)


def _without_blank_ends(text: str) -> str:
    return (_LEADING_BLANK_LINES.sub("", text) if text[:1] in _BLANKS else text).rstrip()


def _without_trailing_space(text: str) -> str:
    for spaces in ("    \n", "  \n", " \n", " \n"):
        if spaces in text:
            text = text.replace(spaces, "\n")
    if " \n" not in text and "\t\n" not in text:
        return text.rstrip(" \t")
    return "\n".join([line.rstrip(" \t") for line in text.split("\n")])  # a pattern would be quadratic in the spaces


def _is_text(part: Part) -> bool:
    kind = part.content_type  # containers: only when they are broken
    return kind.startswith(("text/", "multipart/", "message/")) and kind not in _ELSEWHERE


def _is_attachment(part: Part) -> bool:
    return not _is_text(part) or part.disposition() == "attachment" or bool(part.file_name())


def _attachment(part: Part) -> Attachment:
    name = decode_words(part.file_name())
    return Attachment(re.split(r"[/\\]", name)[-1], part.content_type, part.size())


def _forwarded_heading(message: Part) -> str:
    fields = ((name, message.headers.text(name)) for name in ("from", "date", "subject"))
    return "\n".join(f"{name.title()}: {value}" for name, value in fields if value)
