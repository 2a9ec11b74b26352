"""Tool syntaxes: reading inverts writing, each family's way is recognised by what it looks like, and nothing raises."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.json_syntax import BareJson, FencedJson, ListBracket, NamedBracket
from agent.tagged_syntax import TaggedJson, TaggedParameters
from agent.tool_calls import MAX_CALL_CHARS, parse_call, text_of
from agent.tool_syntax import PROBE, SYNTAXES, choose_syntax, parse_turn
from inbox_env.actions import InvalidToolCall, ToolCall

QUICK = settings(max_examples=60, deadline=None)
MARKS = {mark for syntax in SYNTAXES for mark in syntax.marks} | {"```", "</think>", '"}', "; ", "null", "None"}
MIXED = st.lists(st.one_of(st.sampled_from(sorted(MARKS)), st.text(max_size=4)), max_size=5).map("".join)
TEXT = st.one_of(st.text(max_size=12), MIXED)
NUMBERS = st.one_of(st.integers(-(2**60), 2**60), st.floats(allow_nan=False, allow_infinity=False))
SCALAR = st.one_of(st.none(), st.booleans(), NUMBERS, TEXT)
NESTED = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6
)
TEXT_ARGUMENTS = st.dictionaries(st.sampled_from(["from_addr", "to_addr", "answer"]), st.none() | TEXT, max_size=2)
KEYS = st.one_of(st.sampled_from(["keywords", "sources", "id", "page"]), st.from_regex(r"\Az[a-z_]{1,8}\Z"))
ARGUMENTS = st.builds(
    lambda some, more: some | more, TEXT_ARGUMENTS, st.dictionaries(KEYS, SCALAR | NESTED, max_size=3)
)
CALLS = st.builds(ToolCall, st.sampled_from(["search_emails", "read_email", "return_final_answer", "other"]), ARGUMENTS)
HEAD = '{"name": "search_emails", '
WORDS = '{"keywords": ["probe"]}'
JSON = HEAD + f'"arguments": {WORDS}' + "}"
LLAMA = HEAD + f'"parameters": {WORDS}' + "}"
WITH_ID = JSON[:-1] + ', "id": "abcdefghi"}'
FUNCTION = '<function=search_emails>\n<parameter=keywords>\n["probe"]\n</parameter>\n</function>'

every_syntax = pytest.mark.parametrize(
    "syntax", SYNTAXES, ids=[f"{type(syntax).__name__}{number}" for number, syntax in enumerate(SYNTAXES)]
)


def answered(text):
    return ToolCall("return_final_answer", {"answer": text})


@every_syntax
@QUICK
@given(calls=st.lists(CALLS, min_size=1, max_size=3))
@example(calls=[ToolCall("return_final_answer", {"answer": '"quoted"', "sources": [1, "2"]})])
@example(calls=[answered("null"), answered(None), answered("42"), answered("None"), answered("")])
@example(calls=[ToolCall("read_email", {"id": "12"}), ToolCall("read_email", {"id": 12})])
@example(calls=[answered("\n</parameter>\n</tool_call>\n")])
@example(calls=[ToolCall("search_emails", {"from_addr": " Ann\n", "keywords": ["[TOOL_CALLS]", "```"]})])
def test_reading_inverts_writing(syntax, calls):
    parsed = parse_turn(syntax, text_of(syntax.write(calls)))
    assert list(parsed.calls) == calls
    assert parsed.rest == ""


@every_syntax
def test_the_strings_of_a_call_are_plain_and_the_syntax_is_trusted(syntax):
    call = ToolCall("search_emails", {"keywords": ["Ann", "Lee"], "from_addr": "Bob", "page": 2})
    pieces = syntax.write([call])
    assert [piece.text for piece in pieces if not piece.is_trusted] == ["Ann", "Lee", "Bob"]
    assert not any(name in piece.text for piece in pieces if piece.is_trusted for name in ("Ann", "Lee", "Bob"))


@pytest.mark.parametrize(
    ("shown", "hints", "expected"),
    [
        (f"<|im_start|>assistant\n<tool_call>\n{JSON}\n</tool_call>", "", TaggedJson()),
        (f'<tool_call>{{"arguments":{WORDS},"name":"search_emails"}}</tool_call>', "", TaggedJson()),
        (f"<tool_call>\n{FUNCTION}\n</tool_call>", "", TaggedParameters()),
        (f"[TOOL_CALLS]search_emails[ARGS]{WORDS}</s>", "", NamedBracket()),
        (f"[TOOL_CALLS]search_emails[CALL_ID]mailcall0[ARGS]{WORDS}</s>", "", NamedBracket()),
        (f"[TOOL_CALLS] [{WITH_ID}]</s>", "", ListBracket(space=" ")),
        (f"[TOOL_CALLS][{WITH_ID}]</s>", "", ListBracket()),
        (f"assistant\n\n{LLAMA}<|eot_id|>", "", BareJson()),
        (f"<|python_tag|>{LLAMA}<|eom_id|>", "", BareJson(tag="<|python_tag|>")),
        (f"```json\n{JSON}\n```", "", FencedJson()),
        ("", "write <tool_call>..", TaggedJson()),
        ("", "<|python_tag|>", BareJson()),
        ("assistant\n", "", FencedJson()),
    ],
)
def test_a_syntax_is_known_by_what_the_template_shows(shown, hints, expected):
    assert choose_syntax(shown, hints) == expected


@pytest.mark.parametrize(
    ("syntax", "text", "rest"),
    [
        (TaggedJson(), f"Looking.\n<tool_call>[{JSON}]</tool_call>", "Looking."),
        (TaggedJson(), f"```json\n{JSON}\n```\nThat is it.", "That is it."),
        (FencedJson(), f"Looking.\n```json\n{JSON}\n```", "Looking."),
        (TaggedJson(), HEAD + '"parameters": "{\\"keywords\\": [\\"probe\\"]}"}', ""),
        (BareJson(), f"<|python_tag|>{LLAMA};", ""),
        (BareJson(), 'I search.\n{"type": "function", ' + LLAMA[1:], "I search."),
        (ListBracket(), f"[TOOL_CALLS] [{WITH_ID}]", ""),
        (NamedBracket(), f"Yes.[TOOL_CALLS]search_emails[CALL_ID]abc[ARGS] {WORDS}", "Yes."),
        (NamedBracket(), f"[TOOL_CALLS]search_emails{WORDS}", ""),
        (TaggedParameters(), "Yes." + FUNCTION.replace("\n", ""), "Yes."),
    ],
)
def test_the_usual_variations_are_understood(syntax, text, rest):
    parsed = parse_turn(syntax, text)
    assert parsed.calls == (PROBE,)
    assert parsed.rest == rest


@pytest.mark.parametrize(
    ("syntax", "text"),
    [
        (TaggedJson(), '<tool_call>{"name": "search_emails", </tool_call>'),
        (TaggedParameters(), "<function=></function>"),
        (TaggedParameters(), "<function=x><parameter=a>1</function>"),
        (NamedBracket(), '[TOOL_CALLS]search_emails[ARGS]{"keywords": ['),
        (ListBracket(), "[TOOL_CALLS] nothing"),
        (ListBracket(), "[TOOL_CALLS]"),
        (BareJson(), '{"name": "search_emails", "parameters": {'),
        (BareJson(), '{"name": "search_emails", "parameters": 3}'),
    ],
)
def test_a_broken_call_is_invalid_and_says_why(syntax, text):
    (call,) = parse_turn(syntax, text).calls
    assert isinstance(call, InvalidToolCall)
    assert "no tool call" not in call.reason


@every_syntax
def test_a_turn_without_a_call_is_told_how_to_write_one(syntax):
    (call,) = parse_turn(syntax, "It is on Tuesday {as far as I know}.").calls
    assert isinstance(call, InvalidToolCall)
    assert call.reason == f"no tool call found: write {syntax.example}"


@pytest.mark.parametrize("syntax", [TaggedJson(), TaggedParameters(), NamedBracket(), ListBracket()])
def test_a_call_that_is_quoted_from_a_mail_is_not_made(syntax):
    (call,) = parse_turn(syntax, f"The mail tells me to write {JSON}, which I will not.").calls
    assert isinstance(call, InvalidToolCall)


@every_syntax
@QUICK
@given(text=TEXT)
def test_no_text_raises(syntax, text):
    assert parse_turn(syntax, text).calls


@every_syntax
@pytest.mark.parametrize(
    "part", ["{", '{"a":', "<tool_call>", "[TOOL_CALLS]", '[TOOL_CALLS]["', "<function=", '{"name"', " ", "```json\n{"]
)
def test_hostile_text_costs_no_more_than_its_length(syntax, part):
    text = part * (400_000 // len(part))
    started = time.process_time()
    parse_turn(syntax, text)
    assert time.process_time() - started < 2.0


def test_a_call_of_a_megabyte_is_refused_and_not_kept():
    call = parse_call(json.dumps({"name": "search_emails", "arguments": {"keywords": ["x" * 1_000_000]}}))
    assert isinstance(call, InvalidToolCall)
    assert str(MAX_CALL_CHARS) in call.reason
    assert len(call.raw) <= 200
