"""Guesses whose mailbox it is from who sent what lies in the sent folders and who received the rest.

Knows nothing of files; what it counted can be kept and added up later.
"""

from __future__ import annotations

import re
from collections import Counter

from inbox_env.emails import Address, Email

OwnerCounts = tuple[dict[str, int], dict[str, int], dict[str, dict[str, int]]]

_SENT = re.compile(r"\b_?sent|gesendet|envoy|enviad|inviat|verzonden|отправленн|送信", re.IGNORECASE)


class OwnerGuess:
    """Counts addresses mail by mail; drafts and copies count too."""

    def __init__(self) -> None:
        self._sent: Counter[str] = Counter()
        self._received: Counter[str] = Counter()
        self._names: dict[str, dict[str, int]] = {}  # plain: one is made for each address

    def add(self, email: Email) -> None:
        """Count one mail."""
        if any(_SENT.search(folder) for folder in email.folders):
            self._sent[email.sender.email] += 1
            self._name(email.sender)
            return
        self._received.update({address.email for address in email.recipients})
        for address in email.recipients:
            self._name(address)

    def counts(self) -> OwnerCounts:
        """Return what was counted, as JSON can hold it."""
        names = {address: dict(counter) for address, counter in self._names.items()}
        return dict(self._sent), dict(self._received), names

    def merge(self, counts: OwnerCounts) -> None:
        """Add what another guess counted."""
        sent, received, names = counts
        self._sent.update(sent)
        self._received.update(received)
        for address, counter in names.items():
            known = self._names.setdefault(address, {})
            for name, number in counter.items():
                known[name] = known.get(name, 0) + number

    def best(self) -> Address:
        """Return who received most of those who sent from here (an assistant may send more); empty if unknown.

        Without a sent folder: who received most.
        """
        for counter in (self._sent, self._received):
            counter.pop("", None)
        if not self._sent and not self._received:
            return Address("", "")
        candidates = self._sent or self._received
        email = max(candidates, key=lambda address: (self._received[address], self._sent[address], address))
        names = self._names.get(email, {})
        return Address(max(names, key=lambda name: (names[name], name), default=""), email)

    def _name(self, address: Address) -> None:
        if address.name and address.email:
            known = self._names.get(address.email)
            if known is None:
                known = self._names[address.email] = {}
            known[address.name] = known.get(address.name, 0) + 1
