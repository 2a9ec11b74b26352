"""What the tests of the question writer's faults share: one way to run it, and what to bend."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import closing

from agent.question_writer.asking import Asker
from agent.question_writer.batches import Batches
from agent.question_writer.generate import QuestionWriter, Wanted
from agent.question_writer.mails import askable_mails
from agent.question_writer.models import CallLimits, make_models
from inbox_env.inbox import Inbox
from inbox_env.store import EmailStore
from rewards.judge_cache import JudgeCache

QUICK = CallLimits(call_seconds=5.0, retry_seconds=0.3, pause_seconds=0.5)
COUNT = 4


def write(server, mailbox, cache=None, limits=QUICK, **wanted):
    store, cache = EmailStore.open(mailbox), cache or JudgeCache()
    spec = f"openai:{server.url}#m"
    models = make_models(spec, spec, cache, limits)
    wanted = Wanted(**{"count": COUNT, **wanted})
    batches = Batches(store, "me", askable_mails(store, "me"), wanted.seed)
    with closing(store):
        asking = (Asker(model, cache) for model in models)
        return asyncio.run(QuestionWriter(Inbox(store, "me"), batches, wanted, *asking).write())


def reasons(written):
    return Counter(one.reason for one in written.rejections)


def once(*faults):
    """Return a hook that says each fault once, to one call each, and then what is honest."""
    left = list(faults)
    return lambda *said: left.pop(0) if left else said[-1]
