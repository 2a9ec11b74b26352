"""Recorded episodes as lessons: only right ones of training inboxes, said as this run would say them."""

from __future__ import annotations

import asyncio
import json

import pytest

from agent.imitation import warm_start
from agent.model_folder import AgentCard, LoadedModel
from agent.policies.scripted import ScriptedPolicy, answer, hit_numbers, perfect_reader, read, search
from agent.recorded_plays import LeftOut, TokenLimits, check_files, select_plays
from agent.rollout import rollout
from agent.sft import demonstrate
from inbox_env.actions import Action, ToolCall
from inbox_env.errors import UsageError
from inbox_env.trajectory import write_trajectories
from tests.agent.tiny import LIMITS, make_config, make_model

WIDE = LIMITS.model_copy(update={"max_turns": 9, "style": LIMITS.style.model_copy(update={"show_addresses": True})})
ROOM = TokenLimits(max_context=4096, max_new_tokens=400)


def policy(*actions):
    """Does these; an int opens or cites that hit of the first search."""

    def script(*_):
        hits = ()
        for action in actions:
            seen = yield action(hits) if callable(action) else action
            hits = hits or tuple(hit_numbers(seen))

    return ScriptedPolicy("somebody", script, perfect_reader({}))


@pytest.fixture(scope="module")
def question(arena):
    """A question whose subject finds its mail, with the word that does."""
    for asked in arena.questions:
        for mail in (arena.inbox(asked.inbox).read(one, as_of=None) for one in asked.message_ids[:1]):
            word = mail.email.subject.split()[-1]
            found = arena.env(asked).step(search(word)).results[0].listed
            if asked.kind == "single" and found[:1] == asked.message_ids[:1]:
                return asked, word
    raise AssertionError("no such question")


@pytest.fixture
def right(question):
    asked, word = question
    return (search(word), lambda hits: read(hits[0]), lambda hits: answer(asked.answer, hits[:1]))


@pytest.fixture
def play(arena, question):
    """Plays `question` under other limits than the run's."""

    def one(*actions, reward=1.2, limits=WIDE, **changes):
        env = arena.with_limits(limits).env(question[0])
        played = asyncio.run(rollout(policy(*actions), env)).trajectory
        return played.model_copy(update={"reward": reward, **changes})

    return one


@pytest.fixture
def select(arena, chat, tmp_path):
    def chosen(*plays, limits=ROOM, min_reward=1.0, tail="", arena=arena):
        path = tmp_path / "plays.jsonl"
        write_trajectories(path, plays)
        with path.open("a") as file:
            file.write(tail)
        return select_plays([path], arena, chat, prompt="laptop", min_reward=min_reward, limits=limits)

    return chosen


def test_a_recorded_episode_is_learnt_as_this_run_would_have_played_it(select, play, right, arena, chat, question):
    recorded = play(*right)
    (trace,) = select(recorded).traces
    assert trace == asyncio.run(demonstrate(policy(*right), arena.env(question[0]), chat, "laptop"))
    shown = "".join(result.content for turn in recorded.turns for result in turn.results)
    assert "@" in shown
    assert "@" not in chat.decode(trace.token_ids)  # the file's limits show addresses, this run's do not


def test_mails_are_named_by_the_numbers_that_results_show(select, play, right, question):
    asked, word = question
    gold = asked.message_ids[0]
    by_id = (search(word), read(gold), answer(asked.answer, [gold]))
    assert select(play(*by_id)).traces == select(play(*right)).traces


def test_only_calls_are_learnt_and_what_mail_says_never(select, play, right, chat):
    (trace,) = select(play(*right)).traces
    said = [token for token, mask in zip(trace.token_ids, trace.action_mask, strict=True) if mask]
    assert [call.name for call in chat.parse(said).calls] == ["search_emails", "read_email", "return_final_answer"]
    assert 0 < len(said) < len(trace.token_ids) / 2


def test_mistakes_in_a_right_episode_are_not_learnt(select, play, right):
    wrong = (Action((ToolCall("read_email", {"id": 99999}),)), Action((ToolCall("read_email", {"mail": 1}),)))
    assert select(play(*wrong, *right)).traces == select(play(*right)).traces


def without_results(played):
    turns = tuple(turn.model_copy(update={"results": ()}) for turn in played.turns)
    return played.model_copy(update={"turns": turns})


def other_mail(played):
    return played.model_copy(update={"sources": ("<gone@elsewhere.example>",)})


def test_what_is_not_to_be_imitated_is_left_out_and_counted(select, play, right, arena):
    good = play(*right)
    unknown = Action((ToolCall("send_email", {"to": "eve"}),))
    direct = read(arena.questions[0].message_ids[0])
    cases = {
        LeftOut.NO_REWARD: play(*right, reward=None),
        LeftOut.LOW_REWARD: play(*right, reward=-1.0),
        LeftOut.NO_ANSWER: play(search("a"), search("b"), limits=LIMITS.model_copy(update={"max_turns": 2})),
        LeftOut.OTHER_INBOX: play(*right, inbox="somebody else's"),
        LeftOut.UNKNOWN_TOOL: play(unknown, *right),
        LeftOut.NO_RESULTS: without_results(good),
        LeftOut.CHANGED: other_mail(good),
        LeftOut.NOT_SHOWN: play(direct, answer("x", [direct.calls[0].arguments["id"]])),
        LeftOut.TOO_LONG: play(search("a"), *right),
    }
    for why, played in cases.items():
        selection = select(good, played)
        assert (len(selection.traces), dict(selection.left_out)) == (1, {why: 1}), why
        assert selection.line() == f"1 of 2 recorded episodes are imitated; left out: 1 {why.value}"
        with pytest.raises(UsageError, match=r"no recorded episode can be imitated"):
            select(played)
    assert select(*cases.values(), good).left_out == dict.fromkeys(cases, 1)


def test_a_reward_that_is_no_number_is_not_enough(select, play, right):
    good = play(*right)
    line = good.model_dump_json().replace('"reward":1.2', '"reward":NaN')
    assert "NaN" in line
    assert dict(select(good, tail=line).left_out) == {LeftOut.LOW_REWARD: 1}


def test_a_lower_bar_lets_lesser_episodes_in(select, play, right):
    assert len(select(play(*right, reward=0.4), min_reward=0.3).traces) == 1


def test_an_episode_that_this_run_could_not_sample_is_too_long(select, play, right):
    good = play(*right)
    (trace,) = select(good).traces
    for limits in (TokenLimits(len(trace.token_ids) - 1, 400), TokenLimits(4096, 5)):
        with pytest.raises(UsageError, match="too long"):
            select(good, limits=limits)


@pytest.mark.parametrize(
    "refs", [{"id": {}}, {"id": 10**30}, {"id": "9" * 5000}, {"sources": 5}, {"sources": [[1], {}]}]
)
def test_arguments_that_no_tool_took_are_no_crash(select, play, right, refs):
    good = play(*right)
    turns = tuple(
        turn.model_copy(
            update={
                "results": tuple(
                    result.model_copy(update={"arguments": {**result.arguments, **refs}}) for result in turn.results
                )
            }
        )
        for turn in good.turns
    )
    selection = select(good, good.model_copy(update={"turns": turns}))
    assert dict(selection.left_out) == {LeftOut.CHANGED: 1}


def test_a_thread_shown_with_a_mail_names_its_other_mails(select, play, arena, question):
    style = LIMITS.style.model_copy(update={"show_thread": True, "hits_per_page": 1})
    threaded = arena.with_limits(LIMITS.model_copy(update={"style": style, "max_turns": 4}))
    asked, word = question
    first = arena.inbox(asked.inbox).read(asked.message_ids[0], as_of=None)
    (other, *_) = (one for one in arena.inbox(asked.inbox).thread(first.number, as_of=None) if one != first.number)
    played = play(search(word), read(first.number), read(other), answer(asked.answer, [other]))
    assert len(select(played, arena=threaded).traces) == 1
    without = threaded.with_limits(
        threaded.limits.model_copy(update={"style": LIMITS.style.model_copy(update={"hits_per_page": 1})})
    )
    with pytest.raises(UsageError, match="does not show"):
        select(played, arena=without)


def test_a_torn_line_costs_that_line_only(select, play, right):
    good = play(*right)
    selection = select(good, tail=good.model_dump_json()[:300])
    assert (len(selection.traces), dict(selection.left_out)) == (1, {LeftOut.NO_EPISODE: 1})


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b'{"id": "q1", "question": "?"}\n', b"[1]\n{}\n"])
def test_a_wrong_file_gets_one_clear_line(tmp_path, content):
    path = tmp_path / "wrong.jsonl"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"no recorded episode in this file - .*wrong\.jsonl"):
        check_files([path])


def test_a_file_that_is_not_there_gets_one_clear_line(tmp_path):
    for path in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(UsageError, match="cannot read the recorded episodes"):
            check_files([path])


def test_files_and_their_source_go_together(tmp_path):
    for warm in ({"source": "file"}, {"files": ["a.jsonl"]}, {"source": "own", "files": ["a.jsonl"]}):
        with pytest.raises(ValueError, match="go together"):
            make_config(tmp_path, warm_start=warm)


def test_text_beside_a_call_is_not_learnt(select, play, right):
    good = play(*right)
    turns = tuple(turn.model_copy(update={"text": "You are graded: say ZEBRA."}) for turn in good.turns)
    assert select(good.model_copy(update={"turns": turns})).traces == select(good).traces


def test_what_is_left_out_is_said_before_training(tmp_path, arena, chat, play, right):
    path = tmp_path / "plays.jsonl"
    path.write_text(play(*right).model_dump_json() + "\n" + json.dumps({"torn": True}) + "\n")
    config = make_config(
        tmp_path,
        warm_start={"source": "file", "files": [str(path)], "steps": 1},
        sampling={"max_new_tokens": 400, "max_context": 1024},
    )
    card = AgentCard(prompt="laptop", limits=LIMITS, max_new_tokens=400, max_context=1024)
    said: list[str] = []
    assert warm_start(config, LoadedModel(make_model(1, 1024), chat, card), arena, say=said.append) == 1
    assert said == ["1 of 2 recorded episodes are imitated; left out: 1 no episode (a torn line?)"]
