"""How far an import has come, in bytes of the sources: what is imported counts, and so does what is left out.

Knows nothing of what is done with the mail, or of how the number is shown.
"""

from __future__ import annotations

from collections.abc import Callable

from inbox_env.ingest.records import RawMail, Skipped

Progress = Callable[[int, int], None]  # bytes done, and in all: 0 where nobody knows
_STEP_BYTES = 1 << 18


class ByteMeter:
    """Counts the bytes of one source after the other and tells `show` of them, the end only at the end."""

    def __init__(self, show: Progress | None, num_bytes: int) -> None:
        self._show = show
        self._all = num_bytes
        self._done = self._told = self._source_start = self._source_bytes = 0

    def begin(self, num_bytes: int) -> None:
        """Begin a source of so many bytes, or of 0 when that is not known yet."""
        self._source_start, self._source_bytes = self._done, num_bytes

    def expect(self, num_bytes: int) -> None:
        """The source that is read has so many bytes more than were counted."""
        self._all += num_bytes
        self._source_bytes += num_bytes

    def add(self, item: object, *, is_in_place: bool = False) -> None:
        """Count one item; `is_in_place`: a mail's offset tells what was passed over before it."""
        if isinstance(item, RawMail):
            done = self._done + len(item.raw)
            self._done = max(done, self._source_start + item.offset + len(item.raw)) if is_in_place else done
        elif isinstance(item, Skipped):
            self._done += item.num_bytes
        if self._source_bytes:  # of what is packed it is a guess
            self._done = min(self._done, self._source_start + self._source_bytes)
        if self._done - self._told >= _STEP_BYTES:
            self._tell()

    def end(self) -> None:
        """The source is read: what it held beside mail, or held packed, is done as well."""
        self._done = self._source_start + self._source_bytes if self._source_bytes else self._done
        self._tell()

    def finish(self) -> None:
        """All sources are read."""
        if self._show is not None:
            self._show(self._all or self._done, self._all or self._done)

    def _tell(self) -> None:
        self._told = self._done
        if self._show is not None and self._done:
            self._show(min(self._done, self._all - 1) if self._all else self._done, self._all)
