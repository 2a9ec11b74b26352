"""How long to wait for a server and how often to ask again: a budget, jittered backoff, and the server's own wish.

Pure numbers. Knows nothing of HTTP clients or of what is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import Random

RETRIED_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Patience:
    """`budget_seconds` bounds a call with its retries, `attempt_seconds` one try of it."""

    budget_seconds: float = 120.0
    attempt_seconds: float = 120.0
    num_attempts: int = 5
    first_pause_seconds: float = 0.5
    longest_pause_seconds: float = 20.0

    def pause_seconds(self, attempt: int, random: Random, wished: float | None = None) -> float:
        """Return how long to rest after the `attempt`-th failure (from 1).

        Between half and the whole of a doubling pause, so that many callers do not come back at once; never less
        than the server `wished` for, which the caller's budget may then rule out.
        """
        longest = min(self.longest_pause_seconds, self.first_pause_seconds * 2.0 ** (attempt - 1))
        return max(longest * random.uniform(0.5, 1.0), wished or 0.0)


def wished_pause(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return the seconds of a Retry-After header (a number or a date), None without a readable one."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())
