"""Chat formats of the model families: each conversation grows as its own template would write it, token for token."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from agent.chat_format import ChatFormat
from agent.json_syntax import BareJson, FencedJson, ListBracket, NamedBracket
from agent.policies.local import LocalPolicy
from agent.policies.scripted import answer, read, search
from agent.prefix_rendering import fill
from agent.rollout import rollout
from agent.sampling.torch_engine import TorchEngine
from agent.tagged_syntax import TaggedJson, TaggedParameters
from inbox_env.actions import Action, InvalidToolCall, ToolCall
from inbox_env.errors import UsageError
from tests.agent.chat_families import FAMILIES, LLAMA, family_tokenizer, spacing_tokenizer

QUICK = settings(max_examples=25, deadline=None)
SYNTAX_OF = {
    "llama": BareJson(),
    "mistral": ListBracket(space=" "),
    "mistral-args": NamedBracket(),
    "smollm2": FencedJson(),
    "smollm3": TaggedJson(),
    "coder": TaggedParameters(),
    "drops-thoughts": TaggedJson(),
    "gemma": FencedJson(),
    "qwen2.5-instruct": TaggedJson(),
    "qwen3": TaggedJson(),
}
TWO_SEARCHES = Action(search('Ann "née" Lee', "<|im_end|>").calls + search("budget").calls)


@pytest.fixture(scope="module", params=SYNTAX_OF)
def family(request):
    """A chat format and the name of its family."""
    if request.param in FAMILIES:
        return request.param, ChatFormat(family_tokenizer(request.param))
    folder = request.getfixturevalue("shared_data") / "tokenizers" / request.param
    return request.param, ChatFormat.load(folder)


@pytest.fixture(scope="module")
def qwen3(shared_data):
    return ChatFormat.load(shared_data / "tokenizers" / "qwen3")._tokenizer


def test_the_syntax_is_the_one_that_the_template_shows(family):
    name, chat = family
    assert chat.syntax == SYNTAX_OF[name]


def test_what_the_policy_does_is_read_back(family):
    _, chat = family
    for action in (TWO_SEARCHES, read(7), answer(None), answer("The </parameter> Falcon", [2, "<5@x>"])):
        ids = chat.action_ids(action)
        assert ids[-1] in chat.stop_token_ids
        assert not chat.stop_token_ids & set(ids[:-1])
        assert chat.parse(ids).calls == action.calls
        assert chat.parse(ids).text in ("", "</think>")


def test_the_model_is_told_of_all_three_tools(family):
    _, chat = family
    opening = chat.decode(chat.prompt_ids("s", "q"))
    assert all(f'"{name}"' in opening or f"'{name}'" in opening for name in ("search_emails", "read_email"))
    assert "return_final_answer" in opening


def test_a_conversation_is_what_the_template_itself_writes(family):
    name, chat = family
    ids = chat.prompt_ids("the system's words", "the question")
    messages = chat.template.opening("the system's words", "the question")
    text = chat.decode(ids)
    for word, results in (("one", ["first"]), ("two", ["second", "third"])):
        said = chat.template.called(word) if name.startswith("mistral") else chat.template.said(word)
        before = chat.template.render(messages, is_open=True)
        messages = [*messages, said, *chat.template.results(results)]
        if not chat.is_rewriting:
            assert text == before
            closed = chat.template.render(messages, is_open=True)
            spoken = closed.removeprefix(before).partition(chat.turns.end)[0]
            text += spoken + chat.turns.end + chat.decode(chat.observation_ids(results))
            assert text == closed
    assert (name == "drops-thoughts") == chat.is_rewriting


@QUICK
@given(words=st.lists(st.text(max_size=9), min_size=2, max_size=2))
def test_what_the_model_hears_is_the_results_as_they_are(family, words):
    _, chat = family
    assume(all(chat.decode(chat.plain_ids(word)) == word for word in words))  # a tokenizer may compose accents
    shown = [json.dumps(word, ensure_ascii=False)[1:-1] for word in words] if chat.turns.escapes_results else words
    assert chat.decode(chat.observation_ids(words)) == fill(chat.turns.glue(2), shown)


def test_llama_results_are_the_inside_of_a_json_string():
    chat = ChatFormat(family_tokenizer("llama"))
    result = 'line "one"\nline two'
    messages = [*chat.template.opening("s", "u"), chat.template.said("x"), *chat.template.results([result])]
    assert chat.template.render(messages, is_open=True).endswith(chat.decode(chat.observation_ids([result])))
    assert chat.decode(chat.observation_ids([result])).count("\\n") == 1


def test_every_token_that_can_end_a_turn_stops_sampling_and_is_no_part_of_what_was_said():
    chat = ChatFormat(family_tokenizer("llama"))
    call = chat.action_ids(search("Falcon"))[:-1]
    ends = family_tokenizer("llama").convert_tokens_to_ids(["<|eot_id|>", "<|eom_id|>"])
    assert chat.stop_token_ids == set(ends)
    assert [chat.parse([*call, end]) for end in ends] == [search("Falcon")] * 2


def test_the_day_of_the_run_is_not_in_the_prompt():
    for name in ("llama", "smollm3"):
        opening = ChatFormat(family_tokenizer(name)).turns.opening
        assert "Day: see below" in opening
    dated = copy.deepcopy(family_tokenizer("llama"))
    dated.chat_template = LLAMA.replace("strftime_now('%d %b %Y')", "'26 Jul 2024'")
    assert "Day: see below" in ChatFormat(dated).turns.opening


@pytest.mark.parametrize(("name", "user"), [("gemma", "<start_of_turn>user\n"), ("mistral", "[INST] ")])
def test_a_system_role_that_a_template_refuses_or_forgets_goes_to_the_user(name, user):
    chat = ChatFormat(family_tokenizer(name))
    opening = chat.decode(chat.prompt_ids("Find the mail.", "Where is it?"))
    assert f"{user}Find the mail.\n\n" in opening
    assert "\n\nWhere is it?" in opening


def test_results_reach_a_model_without_a_tool_role_from_the_user():
    chat = ChatFormat(family_tokenizer("gemma"))
    heard = chat.decode(chat.observation_ids(["first", "second"]))
    assert heard == "\n<start_of_turn>user\nfirst\n\nsecond<end_of_turn>\n<start_of_turn>model\n"


def test_a_template_that_drops_thinking_keeps_what_was_sampled():
    chat = ChatFormat(family_tokenizer("drops-thoughts"))
    thought = chat._encoder.trusted("Ann or Bob?\n</think>\n") + chat.action_ids(search("Ann"))
    ids = chat.prompt_ids("s", "q") + thought + chat.observation_ids(["one mail"])
    text = chat.decode(ids)
    assert chat.is_rewriting
    assert "Ann or Bob?" in text
    assert text.endswith("one mail<|im_end|>\n<|im_start|>assistant\n<think>\n")
    assert chat.parse(thought).calls == search("Ann").calls
    assert "Ann or Bob?" in chat.parse(thought).text


@pytest.mark.parametrize("is_thinking", [True, False, None])
def test_qwen3_thinks_or_not_and_only_ever_appends(qwen3, is_thinking):
    chat = ChatFormat(qwen3, is_thinking)
    cue = "<|im_start|>assistant\n" + ("<think>\n\n</think>\n\n" if is_thinking is False else "")
    prompt, heard = chat.prompt_ids("s", "q"), chat.observation_ids(["one mail"])
    assert chat.decode(prompt).endswith(cue)
    assert chat.decode(heard) == f"\n<|im_start|>user\n<tool_response>\none mail\n</tool_response><|im_end|>\n{cue}"
    assert chat.is_rewriting == (is_thinking is False)


def test_a_call_inside_a_thought_is_not_made(qwen3):
    chat = ChatFormat(qwen3, True)
    call = chat.decode(chat.action_ids(search("Ann"))).removesuffix(chat.turns.end)
    thought = f"<think>\nI could say {call}\n</think>\n\n"
    end = chat.turns.end
    assert chat.parse(chat._encoder.trusted(thought + call + end)).calls == search("Ann").calls
    for text in (thought + "Tuesday." + end, f"<think>\n{call}" + end):
        (made,) = chat.parse(chat._encoder.trusted(text)).calls
        assert isinstance(made, InvalidToolCall)
    said = Action((ToolCall("return_final_answer", {"answer": "<think>x</think>", "sources": []}),))
    assert chat.parse(chat.action_ids(said)) == said


def test_a_switch_that_the_template_lacks_is_refused():
    with pytest.raises(UsageError, match="no switch for thinking"):
        ChatFormat(family_tokenizer("llama"), True)


def test_a_template_that_shortens_old_results_still_serves():
    tokenizer = copy.deepcopy(family_tokenizer("smollm2"))
    tokenizer.chat_template = tokenizer.chat_template.replace(
        "{{ message.content }}",
        "{% if loop.revindex > 3 and message.role == 'tool' %}old{% else %}{{ message.content }}{% endif %}",
    )
    chat = ChatFormat(tokenizer)
    assert chat.is_rewriting
    assert chat.turns.glue(2) == ChatFormat(family_tokenizer("smollm2")).turns.glue(2)


def test_a_model_with_a_syntax_of_its_own_is_told_which_one_is_read_here():
    tokenizer = copy.deepcopy(family_tokenizer("smollm2"))
    tokenizer.chat_template = (
        "{{ tools | tojson }}{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}"
        "{% for call in message.tool_calls or [] %}[{{ call.function.name }}({{ call.function.arguments }})]"
        "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    chat = ChatFormat(tokenizer)
    assert chat.syntax == FencedJson()
    assert chat.syntax.example in chat.decode(chat.prompt_ids("s", "q"))
    assert chat.parse(chat.action_ids(search("Falcon"))) == search("Falcon")


async def test_a_random_model_of_each_family_plays_episodes_token_in_token_out(family, arena):
    _, chat = family
    size = len(chat._tokenizer)
    config = LlamaConfig(
        vocab_size=size, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=8192, tie_word_embeddings=True,
    )  # fmt: skip
    torch.manual_seed(0)
    engine = TorchEngine(
        LlamaForCausalLM(config), stop_token_ids=set(chat.stop_token_ids), max_rows=2, max_context=6000
    )
    policy = LocalPolicy(engine, chat, prompt="default", max_new_tokens=200_000 if size < 2000 else 8)
    env = arena.env(arena.questions[0])
    played = await rollout(policy, env)
    trace, turns = played.trace, played.trajectory.turns
    ids = policy.prompt_ids(env.opening())
    sampled = [i for i, is_said in zip(trace.token_ids, trace.action_mask, strict=True) if is_said]
    for number, turn in enumerate(turns, 1):
        ids, sampled = ids + sampled[: turn.num_tokens], sampled[turn.num_tokens :]
        if number < len(turns):
            ids += chat.observation_ids([result.content for result in turn.results])
    assert trace.token_ids == ids
    assert played.trajectory.stop_reason in ("invalid_calls", "max_tokens", "max_turns")
    assert engine.num_open_rows == 0


def test_a_template_that_never_ends_a_turn_is_refused():
    tokenizer = copy.deepcopy(family_tokenizer("smollm2"))
    tokenizer.chat_template = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
    with pytest.raises(UsageError, match="never ends a turn"):
        ChatFormat(tokenizer)


def test_a_tokenizer_that_puts_spaces_before_texts_puts_none_inside_a_turn():
    chat = ChatFormat(spacing_tokenizer())
    result, end = "Falcon budget: 40,000\nNaïve 😀", "</s>"
    assert "▁" not in spacing_tokenizer().convert_ids_to_tokens(chat.plain_ids("budget"))[0]
    assert chat.decode(chat.plain_ids("x" + result))[1:] == result
    glue = fill(chat.turns.glue(1), [result])
    assert chat.decode(chat._encoder.trusted(end) + chat.observation_ids([result])) == chat.decode(
        chat._encoder.trusted(end + glue)
    )
    assert chat.parse(chat.action_ids(search("Falcon"))) == search("Falcon")
