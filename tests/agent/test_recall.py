"""The demonstrator for known-item questions: searches its words, mostly such as find the mail, and cites it."""

from __future__ import annotations

from random import Random
from statistics import fmean

import pytest

from agent.arena import Arena
from agent.imitation import RECALL
from agent.policies.recall import recall, remembered
from agent.rollout import rollout_many
from agent.warm_start import WarmStart
from inbox_env.actions import StopReason
from inbox_env.known_items.generate import KnownItems, generate_known_items
from inbox_env.store import EmailStore, build_inbox
from inbox_env.synthetic import generate_inbox
from rewards.ladder import correctness
from tests.agent.tiny import LIMITS, VOCABULARY


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """An inbox with known-item questions about it."""
    inbox = generate_inbox("train", 2, num_emails=250, num_questions=1)
    mailbox = tmp_path_factory.mktemp("known") / "mail.db"
    build_inbox(mailbox, inbox.name, inbox.emails, owner=inbox.owner)
    store = EmailStore.open(mailbox)
    questions = generate_known_items(KnownItems(store, inbox.name), [], 40, seed=1, split="train")
    store.close()
    return Arena.open(mailbox, questions, LIMITS.model_copy(update={"max_turns": 10}))


def never(question, keywords):
    return False


async def play(known, is_listed, seed=0):
    return [one.trajectory for one in await rollout_many(recall(known.gold, is_listed, seed), known.envs())]


def searched(trajectory):
    return [result.arguments["keywords"] for turn in trajectory.turns for result in turn.results if result.listed or
            "keywords" in result.arguments]  # fmt: skip


async def test_whoever_finds_the_mail_cites_it_and_no_other(known):
    lessons = WarmStart(None, VOCABULARY, known, prompt="laptop", mix=RECALL, seed=1)
    played = await play(known, lessons._is_listed)
    answerable = [pair for pair in zip(played, known.questions, strict=True) if pair[1].answerable]
    right = [correctness(trajectory, question, "find") for trajectory, question in answerable]
    assert len(right) > 20
    assert fmean(right) > 0.7  # the others are asked in words that their mails lack
    for trajectory, question in answerable:
        assert set(trajectory.sources) <= set(question.message_ids)


async def test_hindsight_makes_most_first_searches_find_the_mail(known):
    def share(played):
        pairs = [pair for pair in zip(played, known.questions, strict=True) if pair[1].answerable]
        return fmean(set(one.turns[0].results[0].listed).isdisjoint(question.message_ids) for one, question in pairs)

    lessons = WarmStart(None, VOCABULARY, known, prompt="laptop", mix=RECALL, seed=1)
    with_hindsight, without = await play(known, lessons._is_listed), await play(known, never)
    assert share(with_hindsight) < 0.8 * share(without)


async def test_without_an_answer_it_searches_twice_and_says_so(known):
    played = [
        one for one, question in zip(await play(known, never), known.questions, strict=True) if not question.answerable
    ]
    assert played
    assert {(one.stop_reason, one.answer) for one in played} == {(StopReason.GAVE_UP, None)}
    assert {len(searched(one)) for one in played} <= {1, 2}


async def test_it_searches_words_of_the_question_alone_and_no_search_twice(known):
    for one in await play(known, never):
        tried = [tuple(words) for words in searched(one)]
        assert len(set(tried)) == len(tried)
        assert all(word in one.question for words in tried for word in words)
        assert all(1 <= len(words) <= 2 for words in tried)


async def test_a_demonstration_follows_from_its_seed(known):
    first, again, other = [await play(known, never, seed) for seed in (1, 1, 2)]
    assert [searched(one) for one in first] == [searched(one) for one in again]
    assert [searched(one) for one in first] != [searched(one) for one in other]


def test_the_words_of_a_question_are_parted_and_times_left_out():
    question = "Which mail did I get from Ann Lee about the pipeline invoice towards the end of March 2002?"
    assert remembered(question) == (["Ann", "Lee"], ["pipeline", "invoice"])
    assert remembered("What did Bo say about it two months ago?") == (["Bo"], [])


def test_lessons_of_recall_are_whole_episodes(known, chat):
    lessons = WarmStart(chat, VOCABULARY, known, prompt="laptop", mix=RECALL, seed=Random(1).getrandbits(8))
    for trace in lessons.step(1):
        assert sum(trace.action_mask) > 0
        assert "return_final_answer" in chat.decode(trace.token_ids)
