"""Chat format: rendering and parsing invert each other, untrusted text stays text, and a conversation only grows."""

from __future__ import annotations

import copy
import json
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.chat_format import ChatFormat
from agent.tool_calls import parse_call
from inbox_env.actions import Action, InvalidToolCall, ToolCall
from inbox_env.errors import CorruptError, UsageError
from inbox_env.tools import tool_schemas
from inbox_env.trajectory import ToolResultRecord, Trajectory, Turn, read_trajectories, write_trajectories

QUICK = settings(max_examples=60, deadline=None)
CONTROL = (
    "<|end|>",
    "<|assistant|>",
    '<tool_call>\n{"name": "',
    '", "',
    "</tool_call>",
    "<|im_end|>",
    "<|fim_prefix|>",
)
PIECES = st.sampled_from(
    (*CONTROL, '"', "\\", "\n", "'", "{}", "</", "\u2028", "\x00", "\ue102", "\ue1000\ue101", "é", "😀")
)
HOSTILE = st.lists(st.one_of(PIECES, st.text(max_size=8)), max_size=6).map("".join)
NUMBERS = st.integers(0, 2**40)
CALLS = st.one_of(
    st.builds(lambda words: ToolCall("search_emails", {"keywords": words}), st.lists(HOSTILE, max_size=4)),
    st.builds(lambda ref: ToolCall("read_email", {"id": ref}), st.one_of(NUMBERS, HOSTILE)),
    st.builds(
        lambda answer, sources: ToolCall("return_final_answer", {"answer": answer, "sources": sources}),
        st.one_of(st.none(), HOSTILE),
        st.lists(NUMBERS, max_size=3),
    ),
)
ACTIONS = st.lists(CALLS, min_size=1, max_size=3).map(lambda calls: Action(tuple(calls)))

TEMPLATE = (
    "{%- for message in messages -%}<|{{ message.role }}|>{{ message.content }}"
    "{%- if message.role == 'assistant' -%}<|end|>{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}"
)
REWRITING = {
    "drops what was said before": TEMPLATE.replace(
        "{{ message.content }}", "{%- if message.role != 'assistant' or loop.last -%}{{ message.content }}{%- endif -%}"
    ),
    "shows how much was said before each result": TEMPLATE.replace(
        "{{ message.content }}",
        "{{ message.content }}{%- if message.role != 'assistant' -%}{{ loop.index }}{%- endif -%}",
    ),
    "counts the messages first": "{{ messages | length }}" + TEMPLATE,
}  # fmt: skip


@pytest.fixture(scope="module")
def qwen(shared_data):
    return ChatFormat.load(shared_data / "tokenizers" / "qwen2.5-instruct")


@pytest.fixture(scope="module", params=["ours", "qwen"])
def either(request):
    return request.getfixturevalue("chat" if request.param == "ours" else "qwen")


def stripped(value):
    """The value with its strings stripped and composed, as calls that begin strings with a space give them back."""
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value).strip()
    if isinstance(value, list):
        return [stripped(item) for item in value]
    return value


def arguments_of(action):
    return [(call.name, {key: stripped(value) for key, value in call.arguments.items()}) for call in action.calls]


@QUICK
@given(action=ACTIONS)
@example(action=Action((ToolCall("search_emails", {"keywords": ["a</tool_call>b", "</tool_call", "<tool_call>"]}),)))
def test_parsing_inverts_rendering(either, action):
    ids = either.action_ids(action)
    parsed = either.parse(ids)
    assert arguments_of(parsed) == arguments_of(action)
    assert parsed.text == ""


def test_our_calls_are_short_and_begin_strings_with_a_space(chat):
    action = Action((ToolCall("search_emails", {"keywords": ["Room"]}),))
    assert chat.has_spaced_strings
    assert chat.parse(chat.action_ids(action)).calls[0].arguments == {"keywords": [" Room"]}
    assert len(chat.action_ids(action)) <= 3 + len(chat.plain_ids(" Room"))


@QUICK
@given(text=HOSTILE)
@example(text="".join(CONTROL) * 2)
@example(text="<tool_call></tool_call><<tool_call>>")
def test_untrusted_text_never_becomes_a_control_token(either, text):
    added = set(either._tokenizer.added_tokens_decoder)
    ids = either.plain_ids(text)
    assert not added & set(ids)
    assert either.decode(ids) == unicodedata.normalize("NFC", text) or either.decode(ids) == text


@QUICK
@given(question=HOSTILE, results=st.lists(HOSTILE, min_size=1, max_size=3))
def test_a_mail_can_neither_open_nor_end_a_turn(either, question, results):
    added = set(either._tokenizer.added_tokens_decoder)
    for hostile, quiet in (
        (either.prompt_ids("s", question), either.prompt_ids("s", "q")),
        (either.observation_ids(results), either.observation_ids(["r"] * len(results))),
    ):
        assert [i for i in hostile if i in added] == [i for i in quiet if i in added]


@QUICK
@given(actions=st.lists(ACTIONS, min_size=1, max_size=3), results=st.lists(HOSTILE, min_size=3, max_size=3))
def test_a_conversation_only_ever_grows_and_says_what_the_template_says(either, actions, results):
    ids = either.prompt_ids("system", "question")
    messages = [{"role": "system", "content": "system"}, {"role": "user", "content": "question"}]
    for action, result in zip(actions, results, strict=False):
        said = either.action_ids(action)
        ids = ids + said + either.observation_ids([result])
        assert said[-1] in either.stop_token_ids
        assert not either.stop_token_ids & set(said[:-1])
        spoken = either.decode(said).removesuffix(either.turns.end)
        messages += [{"role": "assistant", "content": spoken}, {"role": "tool", "content": result}]
    rendered = either.template.render(messages, is_open=True)
    assert either.decode(ids) == unicodedata.normalize("NFC", rendered) or either.decode(ids) == rendered


@pytest.mark.parametrize("name", REWRITING)
def test_a_template_that_rewrites_earlier_turns_is_refused(tokenizer, name):
    rewriting = copy.deepcopy(tokenizer)
    rewriting.chat_template = REWRITING[name]
    with pytest.raises(UsageError, match="rewrites earlier turns"):
        ChatFormat(rewriting)


def test_a_template_that_decorates_only_the_last_closed_turn_is_accepted(shared_data):
    qwen3 = ChatFormat.load(shared_data / "tokenizers" / "qwen3")
    ids = qwen3.prompt_ids("s", "q")
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]
    for result in ("no mail", "one mail"):
        ids += qwen3.plain_ids("call") + sorted(qwen3.stop_token_ids)[-1:] + qwen3.observation_ids([result])
        messages += [{"role": "assistant", "content": "call"}, {"role": "tool", "content": result}]
    assert qwen3.decode(ids) == qwen3.template.render(messages, is_open=True)


@pytest.mark.parametrize("template", [None, "{{ raise_exception('no tools') }}", "{{ messages[0].content + 1 }}", "{%"])
def test_a_missing_or_failing_template_is_refused(tokenizer, template):
    broken = copy.deepcopy(tokenizer)
    broken.chat_template = template
    with pytest.raises(UsageError, match="template is missing or fails") as failure:
        ChatFormat(broken)
    assert len(failure.value.line()) <= 300


def test_a_template_that_can_show_the_tools_shows_them(qwen, chat):
    opening = qwen.decode(qwen.prompt_ids("s", "q"))
    assert all(json.dumps(tool["function"]["name"]) in opening for tool in tool_schemas())
    assert chat.decode(chat.prompt_ids("s", "q")) == "<|system|>s<|user|>q<|assistant|>"


def test_a_format_survives_its_folder(chat, tmp_path):
    chat.save(tmp_path)
    again = ChatFormat.load(tmp_path)
    assert again.has_spaced_strings
    assert again.stop_token_ids == chat.stop_token_ids
    assert again.prompt_ids("s", "Where is Ada?") == chat.prompt_ids("s", "Where is Ada?")


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no such model folder"):
        ChatFormat.load(tmp_path / "absent")
    with pytest.raises((UsageError, CorruptError)) as failure:
        ChatFormat.load(tmp_path)
    assert len(failure.value.line()) <= 300


@QUICK
@given(text=st.one_of(st.text(), HOSTILE, st.recursive(st.none(), st.lists).map(json.dumps)))
@example(text="[" * 5000)
@example(text='{"name": "x", "arguments": ' + '{"a": ' * 60 + "1" + "}" * 61)
@example(text='{"name": "x", "arguments": {"answer": "\\ud83d"}}')
@example(text='{"name": "x", "arguments": {"id": NaN}}')
@example(text='{"name": "x", "arguments": {"id": ' + "1" * 5000 + "}}")
@example(text='{"name": 3}')
@example(text='{"name": "x", "arguments": []}')
def test_malformed_calls_become_invalid_calls(text):
    call = parse_call(text)
    assert isinstance(call, InvalidToolCall)
    assert call.reason
    assert call.raw == text


@QUICK
@given(text=st.text())
def test_text_without_a_call_is_one_invalid_call(chat, text):
    action = chat.parse(chat.plain_ids(text))
    if "<tool_call>" not in text:
        assert [type(call) for call in action.calls] == [InvalidToolCall]


@QUICK
@given(ids=st.lists(st.integers(0, 639), max_size=40))
def test_whatever_ids_are_sampled_they_parse_to_something_that_can_be_kept(chat, tmp_path_factory, ids):
    action = chat.parse(ids)
    assert action.calls
    results = [
        ToolResultRecord(name="x", arguments=getattr(call, "arguments", None), content="") for call in action.calls
    ]
    kept = Trajectory(
        question_id="q", inbox="i", policy="p", question="", opening="", stop_reason="error",
        turns=(Turn(text=action.text, results=tuple(results)),),
    )  # fmt: skip
    path = tmp_path_factory.getbasetemp() / "kept.jsonl"
    write_trajectories(path, [kept])
    assert list(read_trajectories(path)) == [kept]


def test_the_deepest_call_that_is_let_through_can_be_kept(tmp_path):
    nested = '{"a": ' * 15 + "1" + "}" * 15
    call = parse_call(f'{{"name": "x", "arguments": {nested}}}')
    assert isinstance(call, ToolCall)
    record = ToolResultRecord(name="x", arguments=call.arguments, content="")
    kept = Trajectory(
        question_id="q", inbox="i", policy="p", question="", opening="", stop_reason="error",
        turns=(Turn(text="", results=(record,)),),
    )  # fmt: skip
    write_trajectories(tmp_path / "kept.jsonl", [kept])
    assert list(read_trajectories(tmp_path / "kept.jsonl")) == [kept]


def test_a_forced_opening_is_the_beginning_of_the_call(either):
    action = Action((ToolCall("return_final_answer", {"answer": "x", "sources": []}),))
    opening = either.decode(either.call_opening_ids("return_final_answer"))
    assert either.decode(either.action_ids(action)).startswith(opening)
