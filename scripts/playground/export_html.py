"""Episodes as one HTML file that stands alone: it opens from a disk, asks no network for anything, and runs one script.

The script is the page's own modules, put into one; the episodes are JSON in which no text can end its element. The
file's own policy names the hashes of script and style: nothing else runs, whatever a mail says. Knows nothing of HTTP.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from html import escape
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException

from inbox_env.inbox import Inbox
from inbox_env.trajectory import Trajectory
from scripts.playground.mail_routes import MailQuery, mail_view
from scripts.playground.replay import replay_events
from scripts.playground.run_index import Row
from scripts.playground.run_query import episode_item
from scripts.playground.static_files import FOLDER

if TYPE_CHECKING:
    from scripts.playground.run_source import Source

MAX_EXPORTED = 200
MAIN = "export.js"
STYLES = ("style.css", "panes.css", "episode.css", "runs.css")
_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([\w.]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (async function|function|class|const) (\w+)", re.MULTILINE)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>mailsleuth: {title}</title>
<style>{style}</style>
</head>
<body>
<div><header id="top"></header><ul class="notes">{notes}</ul></div>
<main id="view" tabindex="-1"></main>
<div id="announcer" class="hidden" role="status" aria-live="polite"></div>
<noscript>This file needs JavaScript. It asks no network for anything.</noscript>
<script type="application/json" id="episodes">{data}</script>
<script>{script}</script>
</body>
</html>
"""


def export_page(source: Source, rows: Sequence[Row], *, num_all: int) -> str:
    """Return the file with these episodes; `num_all` is of how many they were chosen."""
    episodes = [_episode(source, row) for row in rows]
    style, script = "".join((FOLDER / name).read_text(encoding="utf-8") for name in STYLES), bundle(MAIN)
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    data = {"source": source.name, "num_all": num_all, "episodes": episodes}
    title = "1 episode" if len(rows) == 1 else f"{len(rows)} episodes"
    notes = "".join(f"<li>{escape(note)}</li>" for note in source.losses())
    return _PAGE.format(policy=policy, title=title, style=style, notes=notes, data=as_data(data), script=script)


def as_data(value: Any) -> str:
    """Return JSON for a script element: no `<`, and so nothing that an HTML parser could take for markup."""
    text = json.dumps(value, default=str, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def bundle(name: str) -> str:
    """Return a module of the page with all that it imports as one plain script, each in a scope of its own."""
    parts = [f'm["{one}"] = (() => {{\n{_plain(one)}}})();\n' for one in dict.fromkeys(_needed(name))]
    return '"use strict";\n(() => {\nconst m = {};\n' + "".join(parts) + "})();\n"


def _needed(name: str) -> Iterator[str]:
    """Yield what a module imports, the deepest first, and then itself."""
    for _, other in _IMPORT.findall(_text(name)):
        yield from _needed(other)
    yield name


def _plain(name: str) -> str:
    """Return a module without `import` and `export`: it returns what it exported."""
    text = _text(name)
    exported = [found for _, found in _EXPORT.findall(text)]
    text = _IMPORT.sub(lambda found: f'const {{{found[1].replace(" as ", ": ")}}} = m["{found[2]}"];\n', text)
    return _EXPORT.sub(r"\1 \2", text) + f"return {{ {', '.join(exported)} }};\n"


def _text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _episode(source: Source, row: Row) -> dict[str, Any]:
    trajectory = source.read(row)
    question = source.question(trajectory)
    inbox = source.mail.inbox(trajectory.inbox) if source.mail.has(trajectory.inbox) else None
    return {
        "item": episode_item(row),
        "events": replay_events(trajectory, question, inbox, source.ladder),
        "mails": _mails(source, trajectory, inbox, question.asked_on if question else None),
    }


def _mails(source: Source, trajectory: Trajectory, inbox: Inbox | None, as_of: Any) -> dict[str, Any]:
    """Return the mails that the agent opened or cited, by number: no other mail leaves the mailbox."""
    if inbox is None:
        return {}
    opened = [one for turn in trajectory.turns for result in turn.results for one in result.opened]
    found: dict[str, Any] = {}
    for message_id in dict.fromkeys([*opened, *trajectory.sources]):
        try:
            mail = mail_view(source.mail, MailQuery(inbox=trajectory.inbox, ref=message_id[:2000], as_of=as_of))
        except HTTPException:
            continue  # forgotten since
        found[str(mail["number"])] = mail
    return found
