"""The same episode under other names and numbers, so that a small model learns to copy them instead of knowing them.

From a few dozen training inboxes a model learns which names there are, and asks for those in every other inbox.
Exchanging tokens of one sort among themselves, anew for each trace, leaves nothing to be known (EXPERIMENTS.md,
"Names that nobody can know").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from agent.chat_format import ChatFormat
from agent.policy import TokenTrace
from inbox_env.synthetic.names import ENDINGS, OPENINGS

_LONG_ENDINGS = ("surname", "project")  # the others are pieces of ordinary words as well
_YEARS = range(200, 201)  # "2001" is cut into "200" and "1"


class Renaming:
    """Exchanges the tokens of each sort (disjoint lists of ids) among themselves."""

    def __init__(self, sorts: Iterable[Sequence[int]]) -> None:
        self._sorts = [sorted(sort) for sort in sorts]

    @classmethod
    def of_invented_mail(cls, chat: ChatFormat) -> Renaming:
        """Return the renaming of name pieces and three-digit numbers, as far as they are single tokens."""
        texts = [[" " + opening for opening in OPENINGS], *(ENDINGS[sort] for sort in _LONG_ENDINGS)]
        texts.append([str(number) for number in range(100, 1000) if number not in _YEARS])
        taken: set[int] = set()
        sorts = []
        for words in texts:
            ids = {encoded[0] for encoded in map(chat.plain_ids, words) if len(encoded) == 1} - taken
            taken |= ids
            sorts.append(sorted(ids))
        return cls(sorts)

    def rename(self, trace: TokenTrace, random: Random) -> TokenTrace:
        """Return `trace` with every token of a sort exchanged, the same one for the same one throughout."""
        exchanged: dict[int, int] = {}
        for sort in self._sorts:
            exchanged.update(zip(sort, random.sample(sort, len(sort)), strict=True))
        ids = [exchanged.get(token_id, token_id) for token_id in trace.token_ids]
        return TokenTrace(ids, list(trace.action_mask), list(trace.logprobs))
