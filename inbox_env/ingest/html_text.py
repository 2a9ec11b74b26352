"""HTML mail to plain text: block elements become lines; scripts, styles and hidden text vanish. Never raises.

Where a link leads is told in a mail of few links; a newsletter would be nothing but addresses that count its readers.

Bounded: markup made to exhaust a parser (thousands of open elements) only loses its tags. Knows nothing of messages.
"""

from __future__ import annotations

import re

from selectolax.lexbor import LexborHTMLParser, SelectolaxError

MAX_HTML_CHARS = 2_000_000
MAX_OPEN_TAGS = 1_000
_MAX_COPIES = 2_000_000  # open formatting tags are copied into each later block: this many copies at most
_DROPPED = "script, style, head, title, template, noscript, [hidden]"
_BLOCKS = (
    "p, div, br, hr, tr, ul, ol, table, blockquote, pre, form, fieldset, center, h1, h2, h3, h4, h5, h6, "
    "section, article, header, footer, address, dl, dt, dd"
)
_BREAK = "\x1e"  # never in clean text, so it can stand for a line break until white space is collapsed
_INVISIBLE = str.maketrans("", "", _BREAK + "\u200b\u034f\u00ad\ufeff")  # paddings of newsletters, soft hyphens
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")
_TAG_START = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9]*)")
_NEVER_OPEN = frozenset(
    (
        *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"),
        *("p", "li", "td", "th", "tr", "tbody", "thead", "tfoot", "dd", "dt", "option"),
    )
)
_MAX_LINKS = 10
_MAX_LINK_CHARS = 200
_LINK = re.compile(r"(?:(?:https?://)(?:www\.)?|mailto:)([^\s<>?#/][^\s<>]*)", re.IGNORECASE)
_ITEM_ALONE = re.compile(r"^- *\n+", re.MULTILINE)


def html_to_text(html: str) -> str:
    """Return the readable text of the markup, at most its first `MAX_HTML_CHARS` characters."""
    html = html[:MAX_HTML_CHARS].translate(_INVISIBLE)
    if is_html_bomb(html):
        return _tidied(_TAG.sub(" ", html))
    try:
        return _tidied(_rendered(html, keeps_hidden=False)) or _tidied(_rendered(html, keeps_hidden=True))
    except (SelectolaxError, ValueError, RuntimeError):
        return _tidied(_TAG.sub(" ", html))


def is_html_bomb(html: str) -> bool:
    """Return whether more elements stay open than any mail needs: parsing it takes quadratic time or memory."""
    if html.count("<") < MAX_OPEN_TAGS:
        return False
    num_open, num_tags, most = dict[str, int](), 0, 0
    total = 0
    for slash, name in _TAG_START.findall(html):
        name = name.lower()
        num_tags += 1
        if name in _NEVER_OPEN:
            continue
        if not slash:
            num_open[name] = num_open.get(name, 0) + 1
            total += 1
            most = max(most, total)
        elif num_open.get(name):
            num_open[name] -= 1
            total -= 1
    return most > MAX_OPEN_TAGS or most * num_tags > _MAX_COPIES


def _tidied(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.replace("\n", " ").split(_BREAK))
    return re.sub(r"\n{3,}", "\n\n", _ITEM_ALONE.sub("- ", "\n".join(lines))).strip()


def _rendered(html: str, *, keeps_hidden: bool) -> str:
    tree = LexborHTMLParser(html)
    for node in tree.css(_DROPPED):
        node.decompose()
    if not keeps_hidden:
        for node in tree.css("[style]"):
            if _HIDDEN.search(node.attributes.get("style") or ""):
                node.decompose()
    _tell_links(tree)
    if tree.css_first("pre") is not None:
        _keep_lines(tree)
    for node in tree.css(_BLOCKS):
        node.insert_before(_BREAK)
        node.insert_after(_BREAK if node.tag not in ("br", "hr") else "")
    for node in tree.css("li"):
        node.insert_before(_BREAK + "- ")
        node.insert_after(_BREAK)
    for node in tree.css("td, th"):
        node.insert_after(" ")
    root = tree.root
    return root.text(deep=True) if root is not None else ""


def _tell_links(tree: LexborHTMLParser) -> None:
    """Write where each link leads after its text, unless there are many, or the text says so itself."""
    links = tree.css("a[href]")
    for node in links if len(links) <= _MAX_LINKS else ():
        target = (node.attributes.get("href") or "").strip()
        found = _LINK.fullmatch(target) if len(target) <= _MAX_LINK_CHARS else None
        text = (node.text(deep=True) or "").strip().lower()
        if found is None or not text:
            continue
        is_mail = target[:7].lower() == "mailto:"
        told = found[1].partition("?")[0] if is_mail else found[1].rstrip("/")
        if told.lower() not in text:
            node.insert_after(f" <{told if is_mail else target}>")


def _keep_lines(tree: LexborHTMLParser) -> None:
    for block in tree.css("pre"):
        for node in list(block.traverse(include_text=True)):
            if node.is_text_node and "\n" in (node.text_content or ""):
                node.replace_with((node.text_content or "").replace("\n", _BREAK))
