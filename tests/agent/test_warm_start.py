"""The warm start: any step's lessons follow from seed and number alone, and are of the kinds that its mix says."""

from __future__ import annotations

import pytest

from agent.renaming import Renaming
from agent.warm_start import WarmStart, WarmStartMix
from inbox_env.errors import UsageError
from tests.agent.tiny import VOCABULARY

NO_LESSONS = {"drill_share": 0.0, "reading_share": 0.0, "search_share": 0.0}
SMALL = {"step_tokens": 1200, "drill_length": 32, "drill_steps": 2, "plain_steps": 0}


def lessons(arena, chat, seed=1, **mix):
    return WarmStart(chat, VOCABULARY, arena, prompt="laptop", mix=WarmStartMix(**{**SMALL, **mix}), seed=seed)


def learnt(chat, trace):
    return chat.parse([token for token, mask in zip(trace.token_ids, trace.action_mask, strict=True) if mask]).calls


def test_a_step_is_the_same_whenever_and_after_whatever_it_is_made(arena, chat):
    straight = lessons(arena, chat)
    steps = [straight.step(number) for number in (1, 2, 3, 4)]
    resumed = lessons(arena, chat)
    assert [resumed.step(number) for number in (4, 3)] == [steps[3], steps[2]]
    assert steps[2] != steps[3]
    assert straight.step(3, part=1) == resumed.step(3, part=1) != steps[2]
    assert lessons(arena, chat, seed=2).step(3) != steps[2]


def test_a_step_holds_the_tokens_asked_for(arena, chat):
    for number in (1, 5):
        sizes = [len(trace.token_ids) for trace in lessons(arena, chat).step(number)]
        assert sum(sizes[:-1]) < SMALL["step_tokens"] <= sum(sizes)


def test_lessons_that_no_episode_could_be_as_long_as_are_passed_over(arena, chat):
    def made(max_tokens):
        mix = WarmStartMix(**SMALL)
        return WarmStart(chat, VOCABULARY, arena, prompt="laptop", mix=mix, seed=1, max_tokens=max_tokens).step(3)

    sizes = sorted(len(trace.token_ids) for trace in made(None))
    limit = sizes[-1] - 1
    assert all(len(trace.token_ids) <= limit for trace in made(limit))
    with pytest.raises(UsageError, match=r"max_context"):
        made(8)


def test_the_first_steps_are_drills_only(arena, chat):
    for number, is_drill in ((1, True), (2, True), (3, False)):
        traces = lessons(arena, chat, drill_share=0.0).step(number)
        assert all((len(trace.token_ids) == 32) == is_drill for trace in traces)


def test_reading_lessons_open_one_mail_and_answer_from_it_or_give_up(arena, chat):
    traces = lessons(arena, chat, drill_steps=0, **(NO_LESSONS | {"reading_share": 1.0})).step(7)
    answers = {" " + question.answer for question in arena.questions if question.answer}
    calls = [learnt(chat, trace) for trace in traces]
    assert {call.name for (call,) in calls} == {"return_final_answer"}
    assert {call.arguments["answer"] is None for (call,) in calls} == {True, False}
    for trace, (call,) in zip(traces, calls, strict=True):
        if call.arguments["answer"] is None:
            continue
        assert call.arguments["answer"] in answers
        assert call.arguments["sources"]
        assert all(isinstance(number, int) for number in call.arguments["sources"])
        shown = chat.decode(trace.token_ids[: trace.action_mask.index(1)])
        assert all(part in shown for part in call.arguments["answer"].strip().split(" and "))


def test_search_lessons_end_with_the_first_search(arena, chat):
    traces = lessons(arena, chat, drill_steps=0, **(NO_LESSONS | {"search_share": 1.0})).step(7)
    assert {call.name for trace in traces for call in learnt(chat, trace)} == {"search_emails"}
    assert all(trace.action_mask[-1] == 1 and len(learnt(chat, trace)) == 1 for trace in traces)


def test_demonstrations_are_learnt_from_search_to_answer(arena, chat):
    made = lessons(arena, chat, drill_steps=0, **NO_LESSONS)
    traces = [trace for number in range(1, 9) for trace in made.step(number)]
    calls = [[call.name for call in learnt(chat, trace)] for trace in traces]
    assert {names[0] for names in calls} == {"search_emails"}
    assert {"read_email", "return_final_answer"} <= {name for names in calls for name in names}


def test_renamed_lessons_differ_in_names_and_numbers_only(arena, chat):
    renaming = Renaming.of_invented_mail(chat)
    mix = WarmStartMix(**SMALL)
    renamed = WarmStart(chat, VOCABULARY, arena, prompt="laptop", mix=mix, seed=1, renaming=renaming).step(3)
    assert renamed != lessons(arena, chat).step(3)
    assert renamed == WarmStart(chat, VOCABULARY, arena, prompt="laptop", mix=mix, seed=1, renaming=renaming).step(3)


def test_what_is_read_weighs_less_once_copying_is_learnt(arena, chat):
    warm = lessons(arena, chat, context_steps=5, context_weight=0.5, late_context_weight=0.1)
    assert [warm.context_weight(number) for number in (1, 5, 6)] == [0.5, 0.5, 0.1]


def test_a_mix_of_unknown_lessons_is_refused():
    with pytest.raises(ValueError, match="extra"):
        WarmStartMix(poem_share=0.5)
