"""The CPU time of one piece of work in one thread: CPU, not wall time, so that a busy machine changes nothing."""

from __future__ import annotations

import time


class CpuLimit:
    """Begins when it is made, in the thread that asks it; a fifth more is given where the time seems to be over.

    A collection of Python's garbage in the middle of a quick search may take longer than any search.
    """

    def __init__(self, seconds: float) -> None:
        self._deadline, self._grace = time.thread_time() + seconds, seconds / 5

    def is_over(self) -> bool:
        """Return whether the time and the grace after it are used up."""
        now = time.thread_time()
        if now <= self._deadline:
            return False
        if not self._grace:
            return True
        self._deadline, self._grace = now + self._grace, 0.0
        return False
