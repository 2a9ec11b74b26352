"""HTML mail to plain text: block elements become lines, scripts and styles vanish. Never raises."""

from __future__ import annotations

import re
import warnings

from bs4 import BeautifulSoup
from bs4.element import CData, NavigableString
from bs4.exceptions import ParserRejectedMarkup

MAX_HTML_CHARS = 2_000_000
_DROPPED = ("script", "style", "head", "title", "template", "noscript")
_BLOCKS = (
    *("p", "div", "br", "hr", "tr", "li", "ul", "ol", "table", "blockquote", "pre", "form", "fieldset", "center"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "section", "article", "header", "footer", "address", "dl", "dt", "dd"),
)
_CELLS = ("td", "th")
_BREAK = "\x1e"  # never in clean text, so it can stand for a line break until white space is collapsed
_TAG = re.compile(r"<[^<>]*>")


def html_to_text(html: str) -> str:
    """Return the readable text of the markup, at most its first `MAX_HTML_CHARS` characters."""
    html = html[:MAX_HTML_CHARS].replace(_BREAK, "")
    try:
        text = _rendered(html)
    except (ParserRejectedMarkup, AssertionError, RecursionError, ValueError):
        text = _TAG.sub(" ", html)
    lines = (" ".join(line.split()) for line in text.replace("\n", " ").split(_BREAK))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _rendered(html: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # bs4 warns when mail text looks like a file name or a URL
        soup = BeautifulSoup(html, "html.parser")
    for tag in soup.find_all(_DROPPED):
        tag.decompose()
    for tag in soup.find_all("pre"):
        for text in tag.find_all(string=True):
            text.replace_with(str(text).replace("\n", _BREAK))
    for tag in soup.find_all(_BLOCKS):
        tag.insert(0, _BREAK)
        tag.append(_BREAK if tag.name not in ("br", "hr") else "")
    for tag in soup.find_all(_CELLS):
        tag.append(" ")
    return soup.get_text(types=(NavigableString, CData))
