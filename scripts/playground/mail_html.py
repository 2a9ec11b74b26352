"""The HTML of a mail as a page that can do nothing: sanitised, shown in a frame without scripts, loads or links.

Three walls, each enough alone against what it stands for: nh3 leaves harmless tags and styles, the answer's own policy
allows no request at all, and the frame is sandboxed. Knows nothing of who asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import nh3

from inbox_env.ingest.html_text import is_html_bomb

HEADERS = {
    "Content-Security-Policy": (
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'self'"
    ),
    "X-Frame-Options": "SAMEORIGIN",
}
_STYLES = frozenset(
    (
        "background-color border border-bottom border-collapse border-color border-left border-radius border-right "
        "border-spacing border-style border-top border-width color display font-family font-size font-style "
        "font-weight height letter-spacing line-height list-style-type margin margin-bottom margin-left margin-right "
        "margin-top max-width min-width padding padding-bottom padding-left padding-right padding-top text-align "
        "text-decoration text-transform vertical-align white-space width word-break"
    ).split()
)
_LAYOUT = frozenset("align valign bgcolor width height style dir lang colspan rowspan cellpadding cellspacing".split())
_TAGS = (nh3.ALLOWED_TAGS - {"area", "map", "data"}) | {"font", "tfoot", "big"}
_ATTRIBUTES = {"*": set(_LAYOUT), "img": {"src", "alt"}, "font": {"color", "face", "size"}}
_INLINE_IMAGES = tuple(f"data:image/{kind}" for kind in ("png", "jpeg", "jpg", "gif", "webp"))
_PAGE = """<!doctype html>
<html><head><meta charset="utf-8"><title>Mail</title><style>
:root {{ color-scheme: light }}
body {{ margin: 1rem; background: #fff; color: #111; font: 15px/1.5 sans-serif; overflow-wrap: anywhere }}
img, table {{ max-width: 100% }}
.left-out {{ margin: 0 0 1rem; padding-bottom: .5rem; border-bottom: 1px solid #ddd; color: #555; font-size: 13px }}
</style></head><body>{note}<div>{body}</div></body></html>
"""


@dataclass(frozen=True, slots=True)
class SafeHtml:
    """Markup that cannot act, and how many remote images were left out of it."""

    markup: str
    num_remote: int


def sanitise(html: str) -> SafeHtml:
    """Return `html` without anything that runs, loads, links, covers or submits; a parser bomb comes back as text."""
    if is_html_bomb(html):
        return SafeHtml(f"<pre>{escape(html)}</pre>", 0)
    remote: list[str] = []

    def keep(tag: str, attribute: str, value: str) -> str | None:
        if attribute != "src":
            return value
        if tag == "img" and value.strip().lower().startswith(_INLINE_IMAGES):
            return value
        remote.append(value)
        return None

    markup = nh3.clean(
        html,
        tags=_TAGS,
        clean_content_tags={"script", "style", "title", "template", "noscript"},
        attributes=_ATTRIBUTES,
        attribute_filter=keep,
        url_schemes={"data", "http", "https", "cid"},  # those of images that are counted, then left out
        link_rel=None,
        filter_style_properties=set(_STYLES),
    )
    return SafeHtml(markup, len(remote))


def page_of(html: str) -> str:
    """Return the whole document for the frame."""
    safe = sanitise(html)
    images = "1 image" if safe.num_remote == 1 else f"{safe.num_remote:,} images"
    note = f'<p class="left-out">{images} from elsewhere not loaded</p>' if safe.num_remote else ""
    return _PAGE.format(note=note, body=safe.markup)
