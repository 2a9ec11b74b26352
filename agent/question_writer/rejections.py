"""Why a draft did not become a question.

| reason | what it means |
|---|---|
| `unreadable` | it is not the object that was asked for |
| `form` | it does not stand alone: too long or short, markup, addresses, orders, or it points at "this mail" |
| `mails` | it names a mail that was not shown, or as many mails as its kind cannot have |
| `quote` | the words that should prove it are not in that mail |
| `answer` | nothing that can be checked: too long, yes or no, or empty where one is needed |
| `unsupported` | the quotes do not say the answer |
| `told` | the question holds its own answer |
| `date` | it names the day of its mail, or a day that nobody would ask about |
| `overlap` | it repeats the words of its mail |
| `own_words` | AND-ing its words finds the mail: nothing is left to search for |
| `one_mail` | of a question on several mails, one alone answers |
| `not_corrected` | the earlier mail says the same as the later one |
| `unrealistic` | whoever sees only the question finds that nobody would ask it |
| `unfindable` | searches made from the question alone do not bring its mail |
| `unsolved` | from the mails found, another answer follows, or none |
| `ambiguous` | other mail fits its words as well, or gives an answer when its own is left out |
| `answerable` | called unanswerable, it was answered by search |
| `not_near` | called unanswerable, it comes near nothing |
| `copy` | it asks what an earlier one asks |
| `no_reply` | the model gave no usable reply about it; asked again by the same command |
| `unfinished` | the run ended before it was proved; the same command goes on |
| `surplus` | more than were asked for |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Reason = Literal[
    "unreadable", "form", "mails", "quote", "answer", "unsupported", "told", "date", "overlap", "own_words", "one_mail",
    "not_corrected", "unrealistic", "unfindable", "unsolved", "ambiguous", "answerable", "not_near", "copy", "no_reply",
    "unfinished", "surplus",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rejection:
    """A draft that became no question; `detail` says more in a few words, `text` is the question."""

    batch: int
    reason: Reason
    detail: str = ""
    kind: str = ""
    text: str = ""


class Rejected(Exception):
    """Raised where a draft fails a check."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: Reason = reason
        self.detail = detail
