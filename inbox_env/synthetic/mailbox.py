"""Invented inboxes as a mailbox file with its questions: made once per recipe, then reused from a cache folder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path

from inbox_env.database import SCHEMA_VERSION
from inbox_env.questions import Question, read_questions, write_questions
from inbox_env.store import build_inbox
from inbox_env.synthetic.generate import SyntheticInbox, generate_inbox
from inbox_env.synthetic.injections import plant_share, planted_emails
from inbox_env.synthetic.names import Split

FOREIGN = "<ledger-7@elsewhere.example>"  # what a planted mail wants cited where there is no second inbox


@dataclass(frozen=True, slots=True)
class SyntheticRecipe:
    """Which inboxes of one split, and how large."""

    split: Split
    seeds: tuple[int, ...]
    num_emails: int = 800
    num_questions: int = 400
    injected: float = 0.0
    """Share of the questions that one mail answers beside whose answer a hostile mail stands."""

    def inboxes(self) -> Iterator[SyntheticInbox]:
        """Yield the inboxes, one at a time."""
        for seed in self.seeds:
            inbox = generate_inbox(self.split, seed, num_emails=self.num_emails, num_questions=self.num_questions)
            planted = plant_share(inbox, self.injected, FOREIGN) if self.injected else []
            yield replace(inbox, emails=tuple(planted_emails(inbox, planted)))


def ensure_mailbox(recipe: SyntheticRecipe, cache: Path) -> tuple[Path, list[Question]]:
    """Return the mailbox file of `recipe` and its questions, making both when the cache has none."""
    return make_once(str(recipe.split), asdict(recipe), cache, lambda: recipe.inboxes())


def make_once(
    name: str, parts: object, cache: Path, inboxes: Callable[[], Iterable[SyntheticInbox]]
) -> tuple[Path, list[Question]]:
    """Return the mailbox file of `inboxes` and their questions from the cache, or make both.

    `parts` are all that they depend on besides the generator's source. Built beside and renamed, so that an
    interrupted call leaves no half mailbox behind.
    """
    mailbox, questions = _files(name, parts, cache)
    if not (mailbox.is_file() and questions.is_file()):
        cache.mkdir(parents=True, exist_ok=True)
        _build(inboxes(), mailbox, questions)
    return mailbox, read_questions(questions)


def cached_files(recipe: SyntheticRecipe, cache: Path) -> tuple[Path, Path]:
    """Return where the mailbox of `recipe` and its questions are kept, whether they are there or not."""
    return _files(str(recipe.split), asdict(recipe), cache)


def _files(name: str, parts: object, cache: Path) -> tuple[Path, Path]:
    key = sha256(json.dumps([_generator_digest(), SCHEMA_VERSION, parts], sort_keys=True).encode()).hexdigest()[:12]
    return cache / f"{name}-{key}.db", cache / f"{name}-{key}.jsonl"


def _generator_digest() -> str:
    """Return a digest of the generator's own source: when its text changes, cached mailboxes are made anew."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


def _build(inboxes: Iterable[SyntheticInbox], mailbox: Path, questions: Path) -> None:
    partial = mailbox.with_suffix(f".{os.getpid()}.partial")
    asked: list[Question] = []
    try:
        for inbox in inboxes:
            build_inbox(partial, inbox.name, inbox.emails, owner=inbox.owner)
            asked += inbox.questions
        write_questions(partial.with_suffix(".jsonl"), asked)
        partial.with_suffix(".jsonl").replace(questions)
        partial.replace(mailbox)
    finally:
        for leftover in mailbox.parent.glob(f"{partial.name}*"):
            leftover.unlink()
