"""Suites: a name for which questions are asked of which mail, with which tools, and of whom by default.

A TOML file in scripts/configs/suites, or one of your own. A source is a mailbox with questions: invented, given on the
command line, or two files. Knows nothing of how episodes are played.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from agent.arena import Arena
from agent.terms import Terms
from agent.toolsets import Toolset, arte_toolset, own_toolset
from inbox_env.env import EnvLimits
from inbox_env.errors import UsageError
from inbox_env.questions import Question, read_questions, spread_evenly
from inbox_env.store import EmailStore
from inbox_env.synthetic.attacked import Attack, attacks, ensure_attacked
from inbox_env.synthetic.mailbox import SyntheticRecipe, ensure_mailbox
from inbox_env.synthetic.names import Split
from rewards.ladder import Mode

CACHE = Path("data/cache")


class Source(BaseModel):
    """A mailbox and the questions asked of it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["given", "files", "synthetic", "attacked"]
    """given: by --mailbox and --questions. files: by the two keys below. synthetic: invented, made on first use.
    attacked: the same, every question asked once more where a hostile mail stands beside its answer."""
    name: str = ""
    """What it is called beside other sources (default: its question file, or what kind it is)."""
    mailbox: Path | None = None
    """Mailbox file (files)."""
    questions: Path | None = None
    """Question file (files)."""
    split: Split = "test"
    """Split of the invented inboxes (synthetic)."""
    seeds: tuple[int, ...] = (1,)
    """One invented inbox each (synthetic)."""
    num_emails: int = 800
    """Mails of an invented inbox (synthetic)."""
    num_questions: int = 100
    """Questions on each invented inbox (synthetic)."""
    limit: int | None = Field(default=None, ge=1)
    """Only so many of its questions, spread evenly."""

    @model_validator(mode="after")
    def _has_its_files(self) -> Source:
        if (self.kind == "files") != (self.mailbox is not None and self.questions is not None):
            raise ValueError("mailbox and questions go with kind = 'files'")
        return self

    def recipe(self) -> SyntheticRecipe:
        """Return which inboxes are invented."""
        return SyntheticRecipe(self.split, self.seeds, self.num_emails, self.num_questions)


class Suite(BaseModel):
    """What a benchmark asks, and whom when nobody is named."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    title: str
    """Heading of the report."""
    about: str = ""
    """One line below it."""
    tools: Literal["own", "arte"] = "own"
    """Tools and prompt of chat models: this project's, or ART-E's."""
    mode: Mode = "answer"
    """What counts as right, unless --mode says otherwise."""
    policies: tuple[str, ...] = ()
    """Policies that play, unless --policy names others."""
    like: Path | None = None
    """Run or model folder whose prompt and limits all policies get but trained agents, unless --like names another."""
    baseline: str | None = None
    """Whom the others are compared with, unless --baseline says otherwise."""
    limit: int | None = None
    """Only so many questions, spread evenly, unless --limit says otherwise."""
    published: bool = False
    """Whether published figures are shown beside (in a table of their own)."""
    source: tuple[Source, ...] = Field(min_length=1)
    """Where mail and questions come from."""

    @model_validator(mode="after")
    def _has_one_setting(self) -> Suite:
        if self.like is not None and self.tools == "arte":
            raise ValueError("like goes with tools = 'own': ART-E's setting has a prompt and limits of its own")
        return self

    def toolset(self, terms: Terms | None = None) -> Toolset:
        """Return the tools and the prompt of chat models, the prompt that of `terms` if given."""
        if self.tools == "arte":
            return arte_toolset()
        return own_toolset(terms.prompt) if terms is not None and terms.prompt else own_toolset()

    def attacks(self) -> list[Attack]:
        """Return which questions are asked beside a planted mail."""
        return [one for source in self.source if source.kind == "attacked" for one in attacks(source.recipe())]


def load_suite(name: str) -> Suite:
    """Return the suite of that name, or of a TOML file; raises UsageError when there is none or it is wrong."""
    folder = files("scripts") / "configs" / "suites"
    path = Path(name)
    if path.suffix == ".toml":
        if not path.is_file():
            raise UsageError(20, "no such suite file", where=name, next_step="name a TOML file")
        text = path.read_text(encoding="utf-8")
    else:
        known = sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))
        if name not in known:
            raise UsageError(21, f"no suite named {name!r}", next_step=f"one of {', '.join(known)}, or a .toml file")
        text = (folder / f"{name}.toml").read_text(encoding="utf-8")
    try:
        return Suite.model_validate(tomllib.loads(text))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(22, f"not a suite: {where}: {first['msg']}", where=name) from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(23, f"not TOML: {error}", where=name) from error


class Asked(NamedTuple):
    """What is asked: the arena over all sources, their mailbox files, and the name of its source by question's id."""

    arena: Arena
    mailboxes: list[str]
    sources: dict[str, str]


class _Files(NamedTuple):
    source: Source
    mailbox: Path
    questions: Path

    @property
    def name(self) -> str:
        """What the source is called."""
        return self.source.name or (self.questions.stem if self.source.kind in ("given", "files") else self.source.kind)


def open_sources(
    suite: Suite,
    mailbox: Path | None,
    questions: Sequence[Path],
    *,
    inboxes: Sequence[str] = (),
    limit: int | None = None,
    limits: EnvLimits | None = None,
) -> Asked:
    """Return what all sources of a suite ask; `inboxes` and `limit` choose questions.

    Of `questions`, those of a source `given`, each file is a source. `limits` are those of policies that have none.

    Raises UsageError for missing files, mail or questions, and when two sources share an id or an inbox.
    """
    found = [one for source in suite.source for one in _files(source, mailbox, questions)]
    asked = [(one, _chosen(_read(one.questions), inboxes, one)) for one in found]
    names = [question.inbox for _, some in asked for question in some]
    if inboxes and (absent := [name for name in inboxes if name not in names]):
        where = ", ".join(str(one.questions) for one in found)
        some = ", ".join(sorted({q.inbox for one in found for q in read_questions(one.questions)})[:5])
        raise UsageError(3, f"no questions about {absent[0]!r}", where=where, next_step=f"has: {some}")
    kept = {question.id for question in _spread([one for _, some in asked for one in some], limit)}
    limits = limits or EnvLimits()
    by_mailbox: dict[Path, list[Question]] = {}
    for files_, questions_ in asked:
        by_mailbox.setdefault(files_.mailbox.resolve(), []).extend(one for one in questions_ if one.id in kept)
    arenas = [Arena.open(path, questions_, limits) for path, questions_ in by_mailbox.items() if questions_]
    mailboxes = [str(path) for path in by_mailbox]
    return Asked(_merged(arenas, limits), mailboxes, {one.id: files_.name for files_, some in asked for one in some})


def _files(source: Source, mailbox: Path | None, questions: Sequence[Path]) -> list[_Files]:
    if source.kind == "files":
        assert source.mailbox is not None
        assert source.questions is not None
        return [_Files(source, source.mailbox, source.questions)]
    if source.kind in ("synthetic", "attacked"):
        ensure = ensure_attacked if source.kind == "attacked" else ensure_mailbox
        path, asked = ensure(source.recipe(), CACHE)
        return [_Files(source, path, path.with_suffix(".jsonl") if asked else path)]
    if mailbox is None or not questions:
        raise UsageError(
            24, "no mail or no questions given", next_step="add --mailbox FILE --questions FILE, or --suite"
        )
    return [_Files(source, mailbox, one) for one in questions]


def _read(path: Path) -> list[Question]:
    questions = read_questions(path)
    ids = [question.id for question in questions]
    if len(set(ids)) < len(ids):
        twin = next(one for one in ids if ids.count(one) > 1)
        raise UsageError(2, f"two questions have the id {twin!r}", where=str(path))
    return questions


def _chosen(questions: list[Question], inboxes: Sequence[str], files_: _Files) -> list[Question]:
    """Return the questions about these inboxes (none named: all), whose mail has to be there."""
    questions = [question for question in questions if not inboxes or question.inbox in inboxes]
    questions = _spread(questions, files_.source.limit)
    store = EmailStore.open(files_.mailbox)
    present = {info.name for info in store.inboxes()}
    store.close()
    asked = dict.fromkeys(question.inbox for question in questions)
    absent = [name for name in asked if name not in present]
    if absent:
        common = [name for name in asked if name in present]
        only = f", or use --inbox {common[0]}" if common else ""
        what = f"no mail for questions about: {', '.join(absent[:5])}"
        raise UsageError(5, what, where=str(files_.mailbox), next_step=f"import it{only}")
    return questions


def _spread(questions: list[Question], limit: int | None) -> list[Question]:
    if limit is None:
        return questions
    if limit < 1:
        raise UsageError(4, "--limit is at least 1", where=f"--limit {limit}", next_step="leave it out for all")
    return spread_evenly(questions, limit)


def _merged(arenas: Sequence[Arena], limits: EnvLimits) -> Arena:
    inboxes = {question.inbox: arena.inbox(question.inbox) for arena in arenas for question in arena.questions}
    owners: dict[str, int] = {}
    for number, arena in enumerate(arenas):
        for name in {question.inbox for question in arena.questions}:
            if owners.setdefault(name, number) != number:
                raise UsageError(25, f"two sources have an inbox {name!r}", next_step="import one under another name")
    return Arena(inboxes, [question for arena in arenas for question in arena.questions], limits)
