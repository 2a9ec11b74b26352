"""Fixtures of the agent's tests: everything real, everything small, the slow parts made once."""

from __future__ import annotations

import pytest

from agent.arena import Arena
from agent.chat_format import ChatFormat
from inbox_env.store import build_inbox
from inbox_env.synthetic import generate_inbox
from tests.agent.tiny import LIMITS, make_model, make_tokenizer


@pytest.fixture(scope="session")
def tokenizer():
    return make_tokenizer()


@pytest.fixture(scope="session")
def chat(tokenizer):
    return ChatFormat(tokenizer)


@pytest.fixture
def model():
    return make_model()


@pytest.fixture(scope="session")
def arena(tmp_path_factory):
    """One training inbox with its questions."""
    inbox = generate_inbox("train", 1, num_emails=100, num_questions=60)
    mailbox = tmp_path_factory.mktemp("arena") / "mail.db"
    build_inbox(mailbox, inbox.name, inbox.emails, owner=inbox.owner)
    return Arena.open(mailbox, inbox.questions, LIMITS)
