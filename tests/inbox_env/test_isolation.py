"""An inbox shows nothing of other inboxes and nothing later than the as-of date, whatever is asked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbox_env.actions import FinalAnswer, ToolCall, ToolResult
from inbox_env.emails import Address, Email
from inbox_env.inbox import Inbox
from inbox_env.rendering import ResultStyle
from inbox_env.store import EmailStore, build_inbox
from inbox_env.tools import Toolbox

START = datetime(2001, 5, 1, 12, tzinfo=UTC)
AS_OF = START + timedelta(days=9)
PEOPLE = [Address(f"Person {name}", f"{name}@x.org") for name in "abc"]
INBOXES = ("mine", "yours", "theirs")
WORDS = ["budget", "lunch", "report", "secret"]


def mails_of(inbox: str) -> Iterator[Email]:
    for n in range(20):
        sent = None if n == 13 else START + timedelta(days=n)
        when = "visible" if sent is not None and sent <= AS_OF else "hidden"
        body = f"{WORDS[n % 4]} {WORDS[n % 3]} of {inbox}{when} {n}"
        yield Email(
            f"<{n}@{inbox}>", sent, PEOPLE[n % 3], (PEOPLE[(n + 1) % 3],), f"{WORDS[n % 2]} {inbox}{when}", body
        )


@pytest.fixture(scope="module", params=["fts5", "whoosh"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmailStore]:
    folder = tmp_path_factory.mktemp("mail")
    path: Path = folder / "m.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        for inbox in INBOXES:
            build_inbox(path, inbox, mails_of(inbox), index=request.param)
        yield EmailStore.open(path)


@pytest.fixture(scope="module")
def box(store: EmailStore) -> Toolbox:
    return Toolbox(Inbox(store, "mine"), AS_OF, ResultStyle(hits_per_page=50))


ATTACKS = ["inbox_id", "yours", "yourshidden", "minehidden", '" OR "secret', "who:a", "search_2", "\ue000a", "*", "1=1"]
keywords = st.lists(st.sampled_from(WORDS + ATTACKS) | st.text(max_size=12), max_size=3)
who = st.none() | st.sampled_from(["a@x.org", "person b", "c", "%", "yours"]) | st.text(max_size=8)
days = st.none() | st.sampled_from(["2001-05-01", "2001-05-10", "2001-05-15", "9999-12-31", "0001-01-01"])
searches = st.fixed_dictionaries(
    {"keywords": keywords, "from_addr": who, "to_addr": who, "sent_after": days, "sent_before": days},
    optional={"order": st.sampled_from(["newest", "relevance"])},
)
message_ids = st.builds("<{}@{}>".format, st.integers(-2, 25), st.sampled_from(INBOXES))
refs = (
    st.integers()
    | st.integers(-(2**26), 2**26)
    | st.text(max_size=20)
    | message_ids
    | message_ids.map(quote)
    | message_ids.map(str.upper)
    | st.integers(0, 40).map(str)
)


def assert_is_mine(message_ids_seen: tuple[str, ...], content: str) -> None:
    for message_id in message_ids_seen:
        assert message_id.endswith("@mine>")
        assert int(message_id[1:].split("@")[0]) <= 9
    assert not any(word in content for word in ("minehidden", "yoursvisible", "yourshidden", "theirs"))


@settings(max_examples=200, deadline=None)
@given(searches)
def test_no_search_leaves_the_inbox_or_the_date(box: Toolbox, arguments: dict) -> None:
    result = box.execute(ToolCall("search_emails", arguments))
    assert isinstance(result, ToolResult)
    lines = result.content.splitlines()
    shown = "\n".join(line for line in lines if not line.startswith((" ", "error: ")))
    assert_is_mine(result.listed, shown)
    if lines[0] == "0 found":
        counts = [int(line.rsplit(": ", 1)[1]) for line in lines[1:]]
        assert all(count <= 10 for count in counts)


def test_words_that_stand_only_in_hidden_mail_count_nothing(box: Toolbox) -> None:
    hidden = ["minehidden", "yoursvisible", "yourshidden", "13"]
    content = box.execute(ToolCall("search_emails", {"keywords": hidden})).content
    assert content == "0 found\n" + "\n".join(f" {word}: 0" for word in hidden)


@settings(max_examples=300, deadline=None)
@given(refs)
def test_no_id_opens_hidden_mail_and_all_refusals_read_alike(box: Toolbox, ref: int | str) -> None:
    result = box.execute(ToolCall("read_email", {"id": ref}))
    assert isinstance(result, ToolResult)
    if result.opened:
        assert_is_mine(result.opened, result.content)
    else:
        assert result == ToolResult("read_email", "error: id: no such email", is_error=True)


@settings(max_examples=200, deadline=None)
@given(st.lists(refs, max_size=10))
def test_no_hidden_mail_becomes_a_known_source(box: Toolbox, sources: list[int | str]) -> None:
    final = box.execute(ToolCall("return_final_answer", {"answer": "x", "sources": sources}))
    assert isinstance(final, FinalAnswer)
    assert_is_mine(final.sources, "")
    assert len(final.sources) + len(final.unknown_sources) <= len(sources)


def test_every_visible_mail_is_reached_and_no_other(store: EmailStore, box: Toolbox) -> None:
    for inbox in INBOXES:
        own = Toolbox(Inbox(store, inbox), AS_OF, ResultStyle(hits_per_page=50))
        result = own.execute(ToolCall("search_emails", {"keywords": [], "sent_after": "0001-01-01"}))
        assert sorted(result.listed) == sorted(f"<{n}@{inbox}>" for n in range(10))
    opened = [box.execute(ToolCall("read_email", {"id": number})).opened for number in range(25)]
    assert sorted(sum(opened, ())) == sorted(f"<{n}@mine>" for n in range(10))
