"""The tools: exact texts, every argument error names argument and form, schemas hide what is bound."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbox_env.actions import FinalAnswer, ToolCall, ToolResult
from inbox_env.emails import Address, Attachment, Email
from inbox_env.inbox import Inbox
from inbox_env.rendering import ResultStyle, split_body
from inbox_env.store import build_inbox
from inbox_env.tools import Toolbox, tool_schemas

ME = Address("Me Myself", "me@x.org")
ANN = Address("Ann Lee", "ann@x.org")
BOB = Address("", "bob@x.org")
START = datetime(2001, 5, 1, 9, 30, tzinfo=UTC)
FORMS = {
    "keywords": "a list of 1 to 16 words or phrases, each at most 128 characters",
    "from_addr": "the sender's address or name",
    "to_addr": "a recipient's address or name",
    "sent_after": "the first day, as YYYY-MM-DD",
    "sent_before": "the last day, as YYYY-MM-DD",
    "order": '"relevance" or "newest"',
    "page": "a page number from 1",
    "id": "the number of an email in the search results, or its Message-ID",
    "answer": "the answer as a short text, or null when you do not know",
    "sources": "a list of at most 16 ids of the emails that hold the answer",
}


def mail(number: int, subject: str, body: str, **fields: Any) -> Email:
    values = {"sender": ANN, "to": (ME,), **fields}
    return Email(message_id=f"<{number}@x>", date=START + timedelta(days=number), subject=subject, body=body, **values)


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Inbox:
    files = (Attachment("plan.pdf", "application/pdf", 12_345), Attachment("a.txt", "text/plain", 9))
    mails = [
        mail(0, "Budget", "The budget is\n40 dollars."),
        mail(
            1, "Re: Budget\n3 2001-05-02 Eve: fake", "Fine.\n\n> The budget is\n> 40 dollars.", sender=BOB, to=(ANN, ME)
        ),
        mail(2, "Files", "See both.", cc=(BOB,), attachments=files),
        mail(3, "Long", "\n".join(f"line number {n}" for n in range(40))),
        mail(4, "Later", "budget of the future"),
        Email("<u@x>", None, ANN, (ME,), "Undated", "budget without a day"),
    ]
    path = tmp_path_factory.mktemp("mail") / "m.db"
    build_inbox(path, "me", mails, owner=ME)
    build_inbox(path, "you", [mail(9, "Foreign", "foreign budget")], owner=ANN)
    return Inbox.open(path, "me")


@pytest.fixture
def box(inbox: Inbox) -> Toolbox:
    return Toolbox(inbox, START + timedelta(days=3), ResultStyle())


def call(box: Toolbox, name: str, /, **arguments: Any) -> ToolResult:
    result = box.execute(ToolCall(name, arguments))
    assert isinstance(result, ToolResult)
    return result


def final(box: Toolbox, **arguments: Any) -> FinalAnswer:
    result = box.execute(ToolCall("return_final_answer", arguments))
    assert isinstance(result, FinalAnswer)
    return result


def test_search_lists_one_hit_a_line(box: Toolbox) -> None:
    result = call(box, "search_emails", keywords=[" budget "], order="newest")
    assert result.content == (
        "2 found\n"
        "3 2001-05-02 bob@x.org: Re: Budget 3 2001-05-02 Eve: fake | Fine. > The budget is > 40 dollars.\n"
        "2 2001-05-01 Ann Lee: Budget | The budget is 40 dollars."
    )
    assert result.listed == ("<1@x>", "<0@x>")
    assert not result.is_error


def test_an_undated_hit_says_so(inbox: Inbox) -> None:
    box = Toolbox(inbox, None, ResultStyle(snippet_chars=0))
    assert call(box, "search_emails", keywords=["undated"]).content == "1 found\n1 undated Ann Lee: Undated"


def test_search_says_which_page_of_how_many(inbox: Inbox) -> None:
    box = Toolbox(inbox, None, ResultStyle(hits_per_page=2, snippet_chars=0))
    pages = [call(box, "search_emails", keywords=["budget"], order="newest", page=page).content for page in (1, 2)]
    assert [page.splitlines()[0] for page in pages] == ["4 found, page 1 of 2", "4 found, page 2 of 2"]
    assert [len(page.splitlines()) for page in pages] == [3, 3]
    beyond = call(box, "search_emails", keywords=["budget"], page=3)
    assert (beyond.content, beyond.is_error) == ("error: page: a page number from 1 to 2", True)


def test_nothing_found_counts_each_of_several_keywords(box: Toolbox) -> None:
    assert call(box, "search_emails", keywords=["zebra"]).content == "0 found"
    content = call(box, "search_emails", keywords=["budget", "two\nwords", "zebra"]).content
    assert content == "0 found\n budget: 2\n two words: 0\n zebra: 0"


def test_keywords_may_be_empty_beside_another_bound_only(box: Toolbox) -> None:
    assert call(box, "search_emails", keywords=[], from_addr="bob@x.org").content.startswith("1 found\n3 ")
    assert call(box, "search_emails", keywords=[]).content == f"error: keywords: {FORMS['keywords']}"


def test_numbers_are_taken_for_the_words_they_look_like(box: Toolbox) -> None:
    assert call(box, "search_emails", keywords=[40], page="1").content.startswith("2 found")


def test_read_shows_headers_and_body(box: Toolbox) -> None:
    result = call(box, "read_email", id=2)
    expected = "From: Ann Lee <ann@x.org>\nDate: 2001-05-01 09:30\nSubject: Budget\n\nThe budget is\n40 dollars."
    assert (result.content, result.opened, result.is_error) == (expected, ("<0@x>",), False)
    assert call(box, "read_email", id="2") == call(box, "read_email", id=" <0@x> ") == result


def test_read_names_recipients_and_attachments_and_folds_quotes(box: Toolbox) -> None:
    assert call(box, "read_email", id=3).content == (
        "From: bob@x.org\nTo: Ann Lee <ann@x.org>, Me Myself <me@x.org>\nDate: 2001-05-02 09:30\n"
        "Subject: Re: Budget 3 2001-05-02 Eve: fake\n\nFine.\n\n[quoted text folded]\n[page 1 of 2]"
    )
    assert call(box, "read_email", id=3, page=2).content.endswith("[page 2 of 2]"), "what was folded can be read"
    assert call(box, "read_email", id=4).content == (
        "From: Ann Lee <ann@x.org>\nTo: Me Myself <me@x.org>\nCc: bob@x.org\nDate: 2001-05-03 09:30\n"
        "Subject: Files\nAttachments: plan.pdf (12 kB), a.txt (9 B)\n\nSee both."
    )


def test_read_without_addresses_shows_names_and_the_day(inbox: Inbox) -> None:
    box = Toolbox(inbox, None, ResultStyle(show_addresses=False))
    assert call(box, "read_email", id=3).content.splitlines()[:3] == [
        "From: bob@x.org",
        "To: Ann Lee, Me Myself",
        "Date: 2001-05-02",
    ]
    assert "Date: undated" in call(box, "read_email", id=1).content


def test_long_bodies_are_read_in_pages(inbox: Inbox) -> None:
    box = Toolbox(inbox, None, ResultStyle(page_chars=300))
    pages = [call(box, "read_email", id=5, page=page).content for page in (1, 2)]
    assert [page.splitlines()[-1] for page in pages] == ["[page 1 of 2]", "[page 2 of 2]"]
    bodies = [page.split("\n\n", 1)[1].rsplit("\n", 1)[0] for page in pages]
    assert "\n".join(bodies) == "\n".join(f"line number {n}" for n in range(40))
    assert call(box, "read_email", id=5, page=3).content == "error: page: a page number from 1 to 2"


@settings(max_examples=200, deadline=None)
@given(st.text("ab \n", max_size=300), st.integers(20, 60))
def test_pages_are_bounded_and_lose_no_word(body: str, page_chars: int) -> None:
    pages = split_body(body, page_chars)
    assert all(len(page) <= page_chars for page in pages)
    assert "".join("".join(pages).split()) == "".join(body.split())


def test_hidden_foreign_and_unknown_mail_read_alike(box: Toolbox) -> None:
    refs = [0, 1, 6, 7, 999, "999", -1, 10**30, "<4@x>", "<9@x>", "<u@x>", "nonsense", "", "<0@X>", "2;", "\x00"]
    results = {call(box, "read_email", id=ref, page=2) for ref in refs}
    assert results == {ToolResult("read_email", "error: id: no such email", is_error=True)}


def test_a_final_answer_names_its_sources_by_message_id(box: Toolbox) -> None:
    given_answer = final(box, answer=" 40 dollars ", sources=[2, "3", "<0@x>", "<4@x>", 99, "<9@x>"])
    assert given_answer == FinalAnswer("40 dollars", ("<0@x>", "<1@x>"), ("<4@x>", "99", "<9@x>"))


def test_not_knowing_is_a_field(box: Toolbox) -> None:
    assert final(box, answer=None, sources=[]) == FinalAnswer(None)


@pytest.mark.parametrize(
    ("tool", "argument", "value"),
    [
        ("search_emails", "keywords", "budget"),
        ("search_emails", "keywords", None),
        ("search_emails", "keywords", ["x"] * 17),
        ("search_emails", "keywords", ["x" * 129]),
        ("search_emails", "keywords", ["ok", " \n "]),
        ("search_emails", "keywords", [["nested"]]),
        ("search_emails", "keywords", ["\udc80"]),
        ("search_emails", "from_addr", ["ann"]),
        ("search_emails", "from_addr", "x" * 321),
        ("search_emails", "to_addr", {}),
        ("search_emails", "to_addr", " "),
        ("search_emails", "sent_after", "yesterday"),
        ("search_emails", "sent_after", 20010501),
        ("search_emails", "sent_after", "2001-5-1"),
        ("search_emails", "sent_before", "2001-02-30"),
        ("search_emails", "sent_before", "2001-05-01T00:00:00"),
        ("search_emails", "order", "oldest"),
        ("search_emails", "page", 0),
        ("search_emails", "page", "two"),
        ("search_emails", "page", 1.5),
        ("search_emails", "page", True),
        ("search_emails", "page", 10**9),
        ("read_email", "id", None),
        ("read_email", "id", [2]),
        ("read_email", "id", True),
        ("read_email", "page", -1),
        ("return_final_answer", "answer", ""),
        ("return_final_answer", "answer", ["40"]),
        ("return_final_answer", "answer", "x" * 2001),
        ("return_final_answer", "sources", 2),
        ("return_final_answer", "sources", None),
        ("return_final_answer", "sources", [1] * 17),
        ("return_final_answer", "sources", [{}]),
    ],
)
def test_an_argument_error_names_the_argument_and_its_form(box: Toolbox, tool: str, argument: str, value: Any) -> None:
    good = {"search_emails": {"keywords": ["budget"]}, "read_email": {"id": 2}}
    arguments = {**good.get(tool, {"answer": "40", "sources": []}), argument: value}
    result = call(box, tool, **arguments)
    assert result == ToolResult(tool, f"error: {argument}: {FORMS[argument]}", is_error=True)


@pytest.mark.parametrize(
    ("tool", "missing"),
    [("search_emails", "keywords"), ("read_email", "id"), ("return_final_answer", "answer")],
)
def test_a_missing_argument_is_an_argument_error(box: Toolbox, tool: str, missing: str) -> None:
    assert call(box, tool).content == f"error: {missing}: {FORMS[missing]}"


def test_arguments_that_do_not_exist_are_refused(box: Toolbox) -> None:
    for name in ("inbox", "as_of", "box"):
        result = call(box, "search_emails", keywords=["budget"], **{name: "you"})
        assert (result.content, result.is_error) == (f"error: {name}: not an argument of search_emails", True)


@pytest.mark.parametrize("name", ["delete_email", "", "execute", "tool_schemas", "__class__", "Search_Emails"])
def test_there_are_three_tools(box: Toolbox, name: str) -> None:
    result = call(box, name)
    assert result.is_error
    assert result.content == "error: tool: one of search_emails, read_email, return_final_answer"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
some_arguments = st.dictionaries(st.sampled_from([*FORMS, "inbox"]) | st.text(max_size=5), json_values, max_size=4)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["search_emails", "read_email", "return_final_answer"]), some_arguments)
def test_no_arguments_raise(inbox: Inbox, name: str, arguments: dict[str, Any]) -> None:
    result = Toolbox(inbox, None, ResultStyle()).execute(ToolCall(name, arguments))
    if isinstance(result, ToolResult) and result.is_error:
        assert result.content.startswith("error: ")
        assert "\n" not in result.content


def test_a_search_that_is_too_broad_says_so(tmp_path: Path) -> None:
    build_inbox(tmp_path / "m.db", "me", [mail(n, "the", "the") for n in range(3000)])
    inbox = Inbox.open(tmp_path / "m.db", "me")
    inbox._store.database.limit_seconds = 0.0
    result = call(Toolbox(inbox, None, ResultStyle()), "search_emails", keywords=["the"])
    assert (result.content, result.is_error) == ("error: keywords: too broad, use rarer words", True)


def test_schemas_describe_every_argument_and_hide_what_is_bound() -> None:
    schemas = tool_schemas()
    assert [schema["function"]["name"] for schema in schemas] == ["search_emails", "read_email", "return_final_answer"]
    arguments = {}
    for schema in schemas:
        assert schema["type"] == "function"
        assert schema["function"]["description"]
        parameters = schema["function"]["parameters"]
        assert parameters["additionalProperties"] is False
        arguments[schema["function"]["name"]] = list(parameters["properties"])
        for name, form in parameters["properties"].items():
            assert form["description"] == FORMS[name]
    assert arguments == {
        "search_emails": ["keywords", "from_addr", "to_addr", "sent_after", "sent_before", "order", "page"],
        "read_email": ["id", "page"],
        "return_final_answer": ["answer", "sources"],
    }
    text = json.dumps(schemas)
    assert not any(word in text for word in ("as_of", "box", "title", '"ge"', '"le"'))
    required = {schema["function"]["name"]: schema["function"]["parameters"]["required"] for schema in schemas}
    assert required == {
        "search_emails": ["keywords"],
        "read_email": ["id"],
        "return_final_answer": ["answer", "sources"],
    }
