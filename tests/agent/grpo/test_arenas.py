"""The arenas of a configuration: what is evaluated was never trained on."""

from __future__ import annotations

import json

import pytest

from agent.grpo.arenas import check_labels, open_arena
from agent.grpo.config import DataConfig
from inbox_env.env import EnvLimits
from inbox_env.errors import UsageError
from inbox_env.questions import Question, read_questions, write_questions
from inbox_env.store import build_inbox
from inbox_env.synthetic import generate_inbox
from tests.agent.tiny import make_config

SPLITS = ("train", "dev", "test")


@pytest.fixture(scope="module")
def inboxes():
    return [generate_inbox("train", seed, num_emails=100, num_questions=6) for seed in (1, 2, 3)]


@pytest.fixture
def data(tmp_path, inboxes):
    """A function from the questions of each split to the configuration that names their files."""
    for inbox in inboxes:
        build_inbox(tmp_path / "m.db", inbox.name, inbox.emails, owner=inbox.owner)

    def make(**questions):
        for split, asked in questions.items():
            write_questions(tmp_path / f"{split}.jsonl", asked)
        paths = {split: str(tmp_path / f"{split}.jsonl") for split in SPLITS}
        return DataConfig.model_validate({"mailbox": {"path": str(tmp_path / "m.db"), **paths}})

    return make


def test_each_split_has_its_own_questions(data, inboxes):
    config = data(**{split: inbox.questions for split, inbox in zip(SPLITS, inboxes, strict=True)})
    for split, inbox in zip(SPLITS, inboxes, strict=True):
        arena = open_arena(config, split, EnvLimits(max_turns=3))
        assert arena.questions == inbox.questions
        assert arena.limits.max_turns == 3


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("shared", [("train", "test"), ("train", "dev"), ("dev", "test")])
def test_an_inbox_of_two_splits_is_refused_whichever_is_opened(data, inboxes, split, shared):
    asked = {name: list(inbox.questions) for name, inbox in zip(SPLITS, inboxes, strict=True)}
    moved = asked[shared[0]].pop()
    asked[shared[1]].append(moved)
    with pytest.raises(UsageError, match=f"inbox '{moved.inbox}' is in {shared[0]} and in {shared[1]}"):
        open_arena(data(**asked), split, EnvLimits())


def test_a_missing_question_file_is_refused(data, inboxes):
    with pytest.raises(UsageError, match="no such question file"):
        open_arena(data(train=inboxes[0].questions, dev=inboxes[1].questions), "train", EnvLimits())


def test_invented_inboxes_are_made_once_and_differ_by_split(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inboxes = {"seeds": [1, 2], "num_emails": 100, "num_questions": 5}
    config = DataConfig.model_validate({"synthetic": dict.fromkeys(SPLITS, inboxes)})
    arenas = {split: open_arena(config, split, EnvLimits()) for split in SPLITS}
    names = {question.inbox for arena in arenas.values() for question in arena.questions}
    assert names == {f"{split}-{seed:03d}" for split in SPLITS for seed in (1, 2)}
    files = sorted((tmp_path / "data" / "cache").iterdir())
    assert len(files) == 6
    assert open_arena(config, "dev", EnvLimits()).questions == arenas["dev"].questions
    assert sorted((tmp_path / "data" / "cache").iterdir()) == files


RULER = {"reward": {"kind": "ruler"}, "judge": {"model": "openai/m"}}


def test_questions_without_labels_are_for_ranking_only(tmp_path, data, inboxes):
    asked = {split: list(inbox.questions) for split, inbox in zip(SPLITS, inboxes, strict=True)}
    asked["train"] = [Question(id="1", inbox=inboxes[0].name, question="Where?", is_labelled=False), *asked["train"]]
    files = data(**asked)
    train, dev, test = (open_arena(files, split, EnvLimits()) for split in SPLITS)
    assert [question.is_labelled for question in train.questions[:2]] == [False, True]
    check_labels(make_config(tmp_path, **RULER), train, (dev, test))
    with pytest.raises(UsageError, match="training questions without labels"):
        check_labels(make_config(tmp_path), train, (dev, test))
    with pytest.raises(UsageError, match="the demonstrator needs labelled"):
        check_labels(make_config(tmp_path, **RULER, warm_start={"steps": 1}), train, (dev, test))
    with pytest.raises(UsageError, match="dev and test questions need labels"):
        check_labels(make_config(tmp_path, **RULER), dev, (train, test))


def test_questions_that_only_a_mail_answers_are_for_find_mode(tmp_path, data, inboxes):
    asked = {split: list(inbox.questions) for split, inbox in zip(SPLITS, inboxes, strict=True)}
    asked["dev"] = [asked["dev"][0].model_copy(update={"answer_type": "mail"}), *asked["dev"][1:]]
    files = data(**asked)
    train, dev, test = (open_arena(files, split, EnvLimits()) for split in SPLITS)
    check_labels(make_config(tmp_path, reward={"mode": "find"}), train, (dev, test))
    with pytest.raises(UsageError, match="no answer text"):
        check_labels(make_config(tmp_path), train, (dev, test))


@pytest.mark.parametrize("more", [{"answer": "x"}, {"message_ids": ["<a>"]}])
def test_a_question_with_an_answer_is_not_without_a_label(tmp_path, more):
    (tmp_path / "q.jsonl").write_text(
        json.dumps({"id": "1", "inbox": "i", "question": "?", "is_labelled": False, **more})
    )
    with pytest.raises(UsageError, match="has no answer and no message_ids"):
        read_questions(tmp_path / "q.jsonl")


def test_hostile_mails_are_planted_for_training_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("agent.grpo.arenas.CACHE", tmp_path)
    splits = {split: {"seeds": [1], "num_emails": 100, "num_questions": 40} for split in SPLITS}
    clean, hostile = (DataConfig.model_validate({"synthetic": splits, "injected": share}) for share in (0, 0.5))
    for split in SPLITS:
        mails = [open_arena(data, split, EnvLimits()).inbox(f"{split}-001").num_emails for data in (clean, hostile)]
        assert mails[0] == 100
        assert (mails[1] > 105) if split == "train" else (mails[1] == 100)


def test_nothing_is_planted_into_imported_mail(data):
    files = data().mailbox
    with pytest.raises(ValueError, match=r"data\.injected goes with data\.synthetic"):
        DataConfig(mailbox=files, injected=0.1)
