"""Policies by name: scripts do what they say, readers are honest, a local model's episodes are seeded one by one."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.policies import load_policy
from agent.policies.demonstrator import PLAIN, Habits, demonstrator, oracle
from agent.policies.heuristics import HEURISTICS
from agent.policies.local import LocalPolicy
from agent.policies.model_reader import read_with
from agent.policies.question_words import content_words, proper_names
from agent.policies.scripted import ScriptedPolicy, answer, hit_numbers, perfect_reader, read, search
from agent.rollout import rollout, rollout_many
from inbox_env.actions import Action, Observation, Opening, StopReason, ToolCall, ToolResult
from inbox_env.env import EnvLimits
from inbox_env.errors import UsageError
from rewards.ladder import correctness
from tests.agent.tiny import LIMITS, ScriptedEngine, write_model_folder

LONG = LIMITS.model_copy(update={"max_turns": 10})


async def play(policy, arena):
    arena = arena.with_limits(policy.limits or LONG)
    return [one.trajectory for one in await rollout_many(policy, arena.envs())]


def accuracy(trajectories, arena):
    return fmean(
        correctness(one, question, "answer") for one, question in zip(trajectories, arena.questions, strict=True)
    )


def keywords_of(trajectory):
    return [
        result.arguments["keywords"]
        for turn in trajectory.turns
        for result in turn.results
        if "keywords" in result.arguments
    ]


async def test_the_oracle_is_always_right_and_the_demonstrator_is_not(arena):
    ceiling = await play(oracle(arena.gold), arena)
    assert accuracy(ceiling, arena) == 1.0
    mediocre = await play(demonstrator(arena.gold), arena)
    assert 0.1 < accuracy(mediocre, arena) < 0.7
    assert not {one.stop_reason for one in (*ceiling, *mediocre)} & {StopReason.ERROR, StopReason.INVALID_CALLS}


async def test_the_demonstrator_overlooks_a_mail_unless_it_searched_for_what_such_mails_say(arena):
    careless = Habits(one_name=1.0, two_names=0.0, mail_word=0.0, give_up=0.0, leave=0.0, overlook=1.0)
    plays = await play(demonstrator(arena.gold, 0, careless), arena)
    assert not [one for one in plays if one.answer is not None]
    precise = Habits(one_name=0.0, two_names=0.0, mail_word=1.0, give_up=0.0, leave=0.0, overlook=1.0)
    assert accuracy(await play(demonstrator(arena.gold, 0, precise), arena), arena) > 0.7


@pytest.mark.parametrize("habits", [None, PLAIN])
async def test_a_demonstration_depends_on_seed_and_question_alone(arena, habits):
    def actions(trajectory):
        return [(result.name, result.arguments) for turn in trajectory.turns for result in turn.results]

    options = {"habits": habits} if habits else {}
    together = await play(demonstrator(arena.gold, 1, **options), arena)
    policy = demonstrator(arena.gold, 1, **options)
    alone = [
        (await rollout(policy, arena.with_limits(LONG).env(question))).trajectory for question in arena.questions[::-1]
    ]
    assert [actions(one) for one in together] == [actions(one) for one in alone[::-1]]
    other = await play(demonstrator(arena.gold, 2, **options), arena)
    assert [actions(one) for one in together] != [actions(one) for one in other]


@pytest.mark.parametrize("name", HEURISTICS)
async def test_a_heuristic_searches_words_of_the_question_and_opens_what_it_found(arena, name):
    for trajectory in await play(load_policy(name, arena.gold), arena):
        assert trajectory.stop_reason in (StopReason.ANSWERED, StopReason.GAVE_UP)
        assert all(word in trajectory.question for words in keywords_of(trajectory) for word in words)
        results = [result for turn in trajectory.turns for result in turn.results]
        is_found = any(result.listed for result in results)
        assert any(result.opened for result in results) == is_found
        assert (trajectory.stop_reason is StopReason.ANSWERED) == is_found
        assert not any(result.is_error for result in results)


async def test_the_perfect_reader_is_right_if_and_only_if_the_gold_mail_was_opened(arena):
    for trajectory in await play(load_policy("keywords-retry", arena.gold), arena):
        question = arena.gold[trajectory.question_id]
        opened = {message_id for turn in trajectory.turns for result in turn.results for message_id in result.opened}
        if trajectory.stop_reason is StopReason.ANSWERED:
            is_gold = question.answerable and opened >= set(question.message_ids)
            assert correctness(trajectory, question, "answer") == is_gold


async def test_one_shot_heuristics_search_once_and_retry_drops_one_word_at_a_time(arena):
    assert {len(keywords_of(one)) for one in await play(load_policy("keywords-names", arena.gold), arena)} == {1}
    tries = [keywords_of(one) for one in await play(load_policy("keywords-retry", arena.gold), arena)]
    assert max(map(len, tries)) > 1
    for words in tries:
        assert [len(found) for found in words] == list(range(len(words[0]), len(words[0]) - len(words), -1))
        assert all(set(later) < set(earlier) for earlier, later in pairwise(words))


async def test_any_keyword_finds_more_than_all(arena):
    def found(trajectories):
        return fmean(any(result.listed for turn in one.turns for result in turn.results) for one in trajectories)

    bm25, names = load_policy("keywords-bm25", arena.gold), load_policy("keywords-and", arena.gold)
    assert bm25.limits.match == "any"
    assert found(await play(bm25, arena)) > 0.9 > found(await play(names, arena))


def test_retry_drops_the_word_that_alone_finds_least():
    script = HEURISTICS["keywords-retry"](
        Opening("q", "What did Ada Bell say about Zendon to Oslo?", "me", None), Random(0)
    )
    assert next(script) == search("Ada Bell", "Zendon", "Oslo")
    nothing = ToolResult("search_emails", "0 found\n Ada Bell: 3\n Zendon: 0\n Oslo: 7")
    assert script.send(Observation((nothing,))) == search("Ada Bell", "Oslo")
    less = ToolResult("search_emails", "0 found\n Ada Bell: 3\n Oslo: 7")
    assert script.send(Observation((less,))) == search("Oslo")
    assert script.send(Observation((ToolResult("search_emails", "0 found"),))) == answer(None)


def test_hit_numbers_are_those_of_the_listed_mails_only():
    content = "2 found\n17 2001-02-03 Ada: 5 things\n4 2001-02-03 Bo: Re: 99 bottles"
    assert hit_numbers(Observation((ToolResult("search_emails", content, listed=("<a>", "<b>")),))) == [17, 4]
    assert hit_numbers(Observation((ToolResult("search_emails", "0 found\n 12 monkeys: 0"),))) == []
    assert hit_numbers(Observation((ToolResult("search_emails", "error: keywords: a list", is_error=True),))) == []


@settings(max_examples=80, deadline=None)
@given(text=st.one_of(st.text(), st.text("Ab .?-'1é", max_size=60)))
def test_words_of_a_question_are_its_own_and_come_once(text):
    for words in (content_words(text), proper_names(text)):
        assert len(set(words)) == len(words)
        assert all(words)
    assert all(word in text for word in content_words(text))
    flat = text.split()
    assert all(part in "".join(flat) for name in proper_names(text) for part in name.split())


def test_a_policy_that_is_not_there_is_refused_by_name(arena):
    with pytest.raises(UsageError, match=r"no policy named 'keyword-and'.*keywords-and"):
        load_policy("keyword-and", arena.gold)
    with pytest.raises(UsageError, match="needs labelled questions"):
        load_policy("oracle")
    with pytest.raises(UsageError, match="needs labelled questions"):
        load_policy("keywords-and")
    with pytest.raises(UsageError, match="cannot read for keywords-and"):
        load_policy("keywords-and+oracle", arena.gold)
    with pytest.raises(UsageError, match="no model here"):
        load_policy("local:nowhere")


async def test_a_model_folder_plays_and_reads(arena, tokenizer, tmp_path):
    folder = write_model_folder(tmp_path / "base", tokenizer)
    for spec in (f"local:{folder}", f"keywords-names+local:{folder}", f"keywords-bm25+local:{folder}"):
        policy = load_policy(spec, arena.gold)
        assert policy.name == spec
        assert policy.limits.max_turns == LIMITS.max_turns
        played = (await rollout(policy, arena.with_limits(policy.limits).env(arena.questions[1]))).trajectory
        assert played.stop_reason is not StopReason.ERROR, played.error


async def test_a_model_reads_the_transcript_as_if_it_had_searched_itself(arena, chat):
    said = chat.action_ids(answer("Room B2", [7]))
    opening_ids = chat.call_opening_ids("return_final_answer")
    assert said[: len(opening_ids)] == opening_ids
    engine = ScriptedEngine([said[len(opening_ids) :]])
    policy = read_with("keywords-bm25", LocalPolicy(engine, chat, prompt="laptop"), EnvLimits(max_turns=5))
    question = next(question for question in arena.questions if question.kind == "single")
    played = (await rollout(policy, arena.with_limits(policy.limits).env(question))).trajectory
    turns = [
        (ToolCall(turn.results[0].name, turn.results[0].arguments), turn.results[0].content) for turn in played.turns
    ]
    expected = LocalPolicy(engine, chat, prompt="laptop").prompt_ids(arena.env(question).opening())
    for call, content in turns[:-1]:
        expected += chat.action_ids(Action((call,))) + chat.observation_ids([content])
    assert engine.sessions[0].appended == [expected + opening_ids]
    assert played.answer == "Room B2"
    assert engine.sessions[0].is_closed


@pytest.mark.parametrize("heuristic", sorted(set(HEURISTICS) - {"keywords-and"}))
async def test_a_reader_whose_answer_is_no_call_is_not_asked_again(arena, chat, heuristic):
    engine = ScriptedEngine([chat.call_opening_ids("return_final_answer")])
    policy = read_with(heuristic, LocalPolicy(engine, chat, prompt="laptop"), LONG)
    played = await play(policy, arena)
    failed = [one for one in played if any(result.name == "invalid_call" for result in one.turns[-2].results)]
    assert len(failed) == len(engine.sessions) > 3
    assert {(one.stop_reason, one.error) for one in played} == {(StopReason.GAVE_UP, "")}


def test_every_episode_of_a_question_has_a_seed_of_its_own(chat):
    def seeds(order, seed=0):
        engine = ScriptedEngine([])
        policy = LocalPolicy(engine, chat, prompt="laptop", seed=seed)
        for question_id in order:
            policy.open(Opening(question_id, "?", "me", None))
        return sorted(engine.seeds)

    assert len(set(seeds("aabbc"))) == 5
    assert seeds("aabbc") == seeds("bacab")
    assert not set(seeds("ab", seed=1)) & set(seeds("ab", seed=2))


async def test_a_script_that_leaves_the_answer_to_its_reader_is_asked_once(arena):
    asked = []

    async def reader(opening, played):
        asked.append([action for action, _ in played])
        return answer("x")

    policy = ScriptedPolicy("s", lambda opening, random: (step for step in (search("a"), read(1), None)), reader)
    await rollout(policy, arena.with_limits(LONG).env(arena.questions[0]))
    assert asked == [[search("a"), read(1)]]


async def test_labels_reach_a_policy_at_construction_only(arena):
    opening = arena.env(arena.questions[0]).opening()
    gold = arena.questions[0]
    assert not {gold.answer, *gold.message_ids} & {getattr(opening, name) for name in opening.__slots__}
    with pytest.raises(KeyError):
        await perfect_reader({})(opening, [])
