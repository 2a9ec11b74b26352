"""Groups the mails of an inbox into threads by References and In-Reply-To.

Pure: knows nothing of stores. Memory: a few machine words for each mail and each id that it names.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence


class ThreadFinder:
    """Takes the mails of one inbox in order of date; then says which belong together."""

    def __init__(self) -> None:
        self._parent = array("q")
        self._node_of_id: dict[int, int] = {}
        self._node_of_mail = array("q")

    def add(
        self,
        message_id: str,
        in_reply_to: str | None,
        references: Sequence[str],
        subject: str,
        people: Iterable[str],
    ) -> None:
        """Take in the next mail; `people` are the addresses of sender and recipients."""
        node = self._node(message_id)
        self._node_of_mail.append(node)
        for other in (*references, *([in_reply_to] if in_reply_to else [])):
            self._join(node, self._node(other))

    def threads(self) -> list[int]:
        """Return, for each mail in the order added, the position of the first mail of its thread."""
        first: dict[int, int] = {}
        return [first.setdefault(self._root(node), place) for place, node in enumerate(self._node_of_mail)]

    def _node(self, message_id: str) -> int:
        key = hash(message_id)
        node = self._node_of_id.setdefault(key, len(self._parent))
        if node == len(self._parent):
            self._parent.append(node)
        return node

    def _root(self, node: int) -> int:
        while self._parent[node] != node:
            self._parent[node] = self._parent[self._parent[node]]
            node = self._parent[node]
        return node

    def _join(self, one: int, other: int) -> None:
        one, other = self._root(one), self._root(other)
        self._parent[max(one, other)] = min(one, other)
