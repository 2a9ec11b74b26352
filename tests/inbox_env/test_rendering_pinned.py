"""What a trained model reads stays the same to the byte: a change here makes trained weights read unknown text.

The digests are of the results of many searches and reads in invented inboxes, under the style that the bundled
model was trained with and under the default style.
"""

from __future__ import annotations

import tomllib
from hashlib import sha256
from itertools import islice
from pathlib import Path

import pytest

from agent.grpo.config import EnvConfig
from inbox_env.actions import ToolCall, ToolResult
from inbox_env.inbox import Inbox
from inbox_env.rendering import ResultStyle
from inbox_env.search.folding import words
from inbox_env.store import build_inbox
from inbox_env.synthetic.generate import SyntheticInbox, generate_inbox
from inbox_env.tools import Toolbox

LAPTOP = Path(__file__).parents[2] / "scripts" / "configs" / "laptop.toml"
PINNED = {
    "laptop": "00a376e5d0660dae7283341c59124c32eed6f0df0def7343ff27aa09bf2af458",
    "default": "991033f33fec4646ca5692d73ddd560a0e9c4f5c25567122804b1caa7bb001bd",
}


def style_named(name: str) -> ResultStyle:
    if name == "default":
        return ResultStyle()
    return EnvConfig(**tomllib.loads(LAPTOP.read_text())["env"]).limits().style


def calls_of(inbox: SyntheticInbox) -> list[ToolCall]:
    """Searches as a policy makes them from questions, with and without hits, and reads of every kind."""
    calls = []
    for place, question in enumerate(islice(inbox.questions, 60)):
        asked = words(question.question)
        searches = [asked[-1:], asked[-2:], asked[1:4], [" ".join(asked[-2:])], [*asked[:2], "nowhere"]]
        calls += [ToolCall("search_emails", {"keywords": keywords}) for keywords in searches]
        bounds = {"sent_after": "2001-01-01", "page": 1 + place % 3, "order": ("newest", "relevance")[place % 2]}
        calls.append(ToolCall("search_emails", {"keywords": asked[-1:], **bounds}))
        sender = inbox.emails[place].sender
        calls.append(ToolCall("search_emails", {"keywords": [], "from_addr": sender.name, "to_addr": sender.email}))
        calls.append(ToolCall("search_emails", {"keywords": asked[-1:], "from_addr": sender.email}))
    calls += [ToolCall("read_email", {"id": number, "page": 1 + number % 2}) for number in range(0, 301, 3)]
    calls += [ToolCall("read_email", {"id": number}) for number in range(1, 301)]
    return [*calls, ToolCall("search_emails", {"keywords": "budget"}), ToolCall("read_email", {"id": None})]


def read_by_a_model(folder: Path, style: ResultStyle) -> str:
    digest = sha256()
    for split, seed in (("train", 1), ("dev", 2), ("test", 3)):
        given = generate_inbox(split, seed, num_emails=300, num_questions=60)
        path = folder / f"{given.name}.db"
        if not path.exists():
            build_inbox(path, given.name, given.emails, owner=given.owner)
        inbox = Inbox.open(path, given.name)
        for as_of in (None, given.questions[0].as_of):
            box = Toolbox(inbox, as_of, style)
            for call in calls_of(given):
                result = box.execute(call)
                assert isinstance(result, ToolResult)
                text = "\x1f".join((result.content, *result.listed, *result.opened, str(result.is_error)))
                digest.update(text.encode() + b"\x1e")
        inbox.close()
    return digest.hexdigest()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pinned")


@pytest.mark.parametrize("name", PINNED)
def test_what_a_model_reads_is_pinned(folder: Path, name: str) -> None:
    assert read_by_a_model(folder, style_named(name)) == PINNED[name]
