"""The contract of a view: how something is added to the page, and to the server behind it.

The page is one HTML file with views side by side: asking an inbox is one, replaying a run another. A view has

1. a `View` here: a name, a title, and the routes that it needs, under `/api/NAME/`. `make_app(library.., views)` puts
   them behind the guard: every route is checked for host, origin and token, and answers carry the headers, without the
   view doing anything. Handlers are plain Starlette endpoints; `bodies.read_body` reads JSON with a limit,
   `event_stream.EventStream` sends events and cancels its source when the reader leaves.
2. a module `static/view_NAME.js` that exports `mount(root, app, rest)`: it fills `root` and returns what is called when
   the view is left (or nothing). It is loaded when the address is `#/NAME/..`; `rest` is the list of what stands behind
   the name, decoded, and a change of it mounts anew. `app` offers `api` (JSON calls and event streams), `keys` and
   `commands` (keyboard and palette, removed with the view), `announce` (screen readers), `go(name, ..rest)`.

Parts to build a view from: `mail_list.js` (virtual list of an inbox, search), `mail_pane.js` (one mail, opened at a
quote), `episode.js` (turn cards, ending, score: draws the events that `cards.py` and `scoring.py` make, from a live
episode and from a replay alike), `dom.js` (builds elements; data only ever becomes text).

Knows nothing of what a view shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.routing import BaseRoute


@dataclass(frozen=True, slots=True)
class View:
    """One view of the page: `name` is its place in the address, `title` its label."""

    name: str
    title: str
    routes: Sequence[BaseRoute]
