"""What the tests of several processes compare with: a mailbox, and the run of one process in it."""

from __future__ import annotations

import pytest

from agent.grpo.distributed import ALONE
from inbox_env.store import build_inbox
from inbox_env.synthetic import generate_inbox
from tests.agent.grpo.test_distributed import train


@pytest.fixture(scope="session")
def mailbox(tmp_path_factory):
    inbox = generate_inbox("train", 1, num_emails=100, num_questions=20)
    path = tmp_path_factory.mktemp("arena") / "mail.db"
    build_inbox(path, inbox.name, inbox.emails, owner=inbox.owner)
    return path


@pytest.fixture(scope="session")
def alone(tmp_path_factory, mailbox):
    folder = tmp_path_factory.mktemp("alone")
    train(ALONE, folder, mailbox, 4)
    return folder
