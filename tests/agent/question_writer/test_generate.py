"""From batches to what is kept: every kind, the same whatever order replies come in, never more than was asked for."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from random import Random

import pytest

from agent.question_writer.asking import Asker
from agent.question_writer.batches import Batches
from agent.question_writer.generate import MAX_UNANSWERABLE, QuestionWriter, Wanted
from agent.question_writer.mails import askable_mails
from inbox_env.inbox import Inbox
from inbox_env.questions import read_questions, write_questions
from inbox_env.store import EmailStore
from rewards.judge_cache import JudgeCache
from rewards.judge_model import JudgeReply
from tests.agent.question_player import Player
from tests.agent.question_writer.desk import ABSENT, BOTH, FIXED, PLACE, make_inbox

ANSWERS = {  # by a word of the question: what the solver searches for, and what it says when it is shown it
    "married": (["wedding"], ["Villa"], "Villa Rosa"),
    "Bob": (["roof"], ["4,280"], "$4,280"),
    "guests": (["sister"], ["Villa", "platform"], "Villa Rosa and Florence"),
    "flight": (["wedding"], ["no such words"], None),
}


class Desk:
    """Writes the four drafts of the desk, and solves them; late by a random time."""

    def __init__(self, *drafts, seed=0):
        self.name, self.drafts, self._random = "desk", drafts, Random(seed)

    async def ask(self, messages):
        await asyncio.sleep(self._random.random() / 200)
        system, user = (one["content"] for one in messages)
        if system.startswith("You write questions"):
            return JudgeReply(json.dumps({"drafts": self.drafts}))
        question, _, mails = user.partition("\n\n=== mail 1")
        keywords, needed, answer = next(found for word, found in ANSWERS.items() if word in question)
        if not mails:
            return JudgeReply(json.dumps({"realism": 1, "searches": [keywords]}))
        is_there = all(word in mails for word in needed)
        return JudgeReply(json.dumps({"answer": answer if is_there else None, "mails": [1] if is_there else []}))


async def write(inbox, store, model, count=4, seed=1):
    batches = Batches(store, inbox.name, askable_mails(store, inbox.name), seed)
    asker = Asker(model, JudgeCache())
    return await QuestionWriter(inbox, batches, Wanted(count, seed, "dev"), asker, asker).write()


@pytest.fixture
def desk(tmp_path):
    return make_inbox(tmp_path), EmailStore.open(tmp_path / "desk.db")


async def test_every_kind_is_written_proved_and_read_back(desk, tmp_path):
    written = await write(*desk, Desk(PLACE, FIXED, BOTH, ABSENT))
    assert written.rejections == []
    assert [one.kind for one in written.questions] == ["single", "distractor", "multi", "unanswerable"]
    assert [one.id for one in written.questions] == [f"me-written-1-000{number}" for number in range(1, 5)]
    write_questions(tmp_path / "q.jsonl", written.questions)
    assert read_questions(tmp_path / "q.jsonl") == written.questions


async def test_what_one_batch_gave_is_not_taken_from_the_next(desk):
    written = await write(*desk, Desk(PLACE, FIXED, BOTH, ABSENT), count=5)
    assert len(written.questions) == 4
    assert Counter(one.reason for one in written.rejections) == {"copy": written.num_drafts - 4}


async def test_no_more_are_kept_than_were_asked_for_and_few_without_an_answer(desk):
    written = await write(*desk, Desk(PLACE, FIXED, BOTH, ABSENT), count=2)
    assert [one.kind for one in written.questions] == ["single", "distractor"]
    assert Counter(one.reason for one in written.rejections)["surplus"] == 2
    others = [
        ABSENT | {"question": f"Which flight does Ann's sister take to {town}?"} for town in ("Siena", "Rome and Bari")
    ]
    written = await write(*desk, Desk(*others, PLACE, FIXED), count=4)
    assert sum(not one.answerable for one in written.questions) == 1 >= MAX_UNANSWERABLE * 4
    assert ("surplus", "of unanswerable ones") in {(one.reason, one.detail) for one in written.rejections}


class Late:
    """The player without a server, each reply late by a random time."""

    def __init__(self, player, seed):
        self.name, self._player, self._random = "late", player, Random(seed)

    async def ask(self, messages):
        await asyncio.sleep(self._random.random() / 100)
        return JudgeReply(json.dumps(self._player.say(*(one["content"] for one in messages))))


async def test_the_order_of_replies_does_not_matter(tmp_path):
    player = Player()
    store = EmailStore.open(player.build(tmp_path / "my.db"))
    inbox = Inbox(store, "me")
    first, *others = [await write(inbox, store, Late(player, seed), count=12) for seed in range(4)]
    assert len(first.questions) == 12
    assert all(other == first for other in others)
    assert first.num_drafts == len(first.questions) + len(first.rejections)
