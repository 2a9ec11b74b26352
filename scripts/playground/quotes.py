"""The text of a mail as the page shows it, and where a quote and forwarded mails stand in it.

Which words support an answer is `rewards.citations.supporting_quote`. Knows nothing of policies, scores or the page.
"""

from __future__ import annotations

from itertools import pairwise

from inbox_env.emails import Email
from inbox_env.ingest.clean import forward_places
from rewards.citations import spaced
from scripts.terminal import safe, safe_line


def safe_body(email: Email) -> str:
    """Return the text that the page shows of a mail: its body and what can be read of its attachments."""
    parts = [safe(email.body).rstrip()]
    parts += [f"[attachment {safe_line(one.name)}]\n{safe(one.text)}" for one in email.attachments if one.text]
    return "\n\n".join(parts)


def place_in_script(body: str, quote: str) -> tuple[int, int] | None:
    """Return start and end of `quote` in `body` as JavaScript counts (UTF-16 units), or None."""
    found = spaced(quote).search(body) if quote.strip() else None
    return (_units(body[: found.start()]), _units(body[: found.end()])) if found else None


def forwards_in_script(email: Email) -> list[tuple[int, int]]:
    """Return start and end of each forwarded mail in `safe_body(email)` as JavaScript counts, in order."""
    body = safe(email.body).rstrip()
    starts = forward_places(body)
    places, units = [], 0
    for before, start in pairwise([0, *starts, len(body)]):
        units += _units(body[before:start])
        places.append(units)
    return list(pairwise(places)) if starts else []


def _units(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2
