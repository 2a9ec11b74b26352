"""What the viewer asks of its server, over a real connection."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from inbox_env.search.base import SearchQuery
from inbox_env.trajectory import read_trajectories, write_trajectories
from scripts.benchmark_grades import grade, write_grades
from scripts.cli import main
from scripts.playground.export_html import as_data
from scripts.playground.mail_routes import parse_query
from scripts.playground.replay import typed
from scripts.playground.run_routes import RunRoutes
from scripts.playground.run_source import Source
from scripts.playground.static_files import FOLDER
from tests.scripts.playground.runs import GROUP_SIZE, add_step, make_run, play, viewed
from tests.scripts.playground.served import events, invented

UNREWARDED = {"reward": None, "reward_parts": {}}
STEP_1 = "trajectories/step-000001.jsonl"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def run(folder: Path) -> Path:
    mailbox, questions = invented(folder)
    return make_run(folder, mailbox, questions)


@pytest.fixture(scope="module")
def url(run: Path):
    with viewed(run, run / "evaluation" / "trained.jsonl") as url:
        yield f"{url}/api/runs"


def get(url: str, **params):
    answer = httpx.get(url, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_run_is_its_steps_groups_and_evaluations(url):
    (run, file) = get(f"{url}/start")["sources"]
    sets = get(f"{url}/0/facts")["sets"]
    assert {one["name"]: one["num_episodes"] for one in sets} == {"training": 24, "base": 4, "trained": 4}
    assert (run["num_steps"], run["has_curves"], file["has_curves"]) == (6, True, False)
    groups = get(f"{url}/0/rows", level="groups")
    assert groups["num_matches"] == 6
    assert all(group["size"] == GROUP_SIZE == len(group["rewards"]) for group in groups["items"])
    assert [step["step"] for step in get(f"{url}/0/rows", level="steps")["items"]] == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [("outcome", "right", "outcome"), ("stop", "gave_up", "stop_reason"), ("set", "base", "set"), ("step", 2, "step")],
)
def test_a_filter_leaves_exactly_what_it_names(url, name, value, field):
    rows = get(f"{url}/0/rows")["items"]
    left = get(f"{url}/0/rows", **{name: value})
    assert left["items"] == [row for row in rows if row[field] == value]
    assert 0 < left["num_matches"] < len(rows)
    if name in left["facets"]:
        assert left["facets"][name][value] == left["num_matches"]
        assert sum(left["facets"][name].values()) == len(rows), "its own facet still counts what else could be chosen"


def test_filters_add_up_and_words_are_looked_for_in_questions(url):
    rows = get(f"{url}/0/rows")["items"]
    word = rows[0]["question"].split()[-1].strip(".?").casefold()
    left = get(f"{url}/0/rows", q=word.upper(), outcome="right", kind=rows[0]["kind"])["items"]
    assert left
    assert left == [
        row
        for row in rows
        if word in row["question"].casefold() and row["outcome"] == "right" and row["kind"] == rows[0]["kind"]
    ]
    rewards = [row["reward"] for row in get(f"{url}/0/rows", order="best", set="training")["items"]]
    assert rewards == sorted(rewards, reverse=True)


def test_a_reward_jump_is_a_filter(folder, run):
    jumpy = folder / "jumpy"
    make_run(folder, *invented(folder), num_steps=2, name="jumpy")
    (jumpy / "metrics.jsonl").unlink()
    (jumpy / "trajectories" / "step-000002.jsonl").rename(jumpy / "trajectories" / "step-000009.jsonl")
    for step in range(1, 10):
        add_step(jumpy, step, reward=0.9 if step == 9 else 0.01 * step)
    with viewed(jumpy) as url:
        left = get(f"{url}/api/runs/0/rows", jump=True)
        assert left["num_jumps"] == 1
        assert {row["step"] for row in left["items"]} == {9}


def test_an_episode_is_replayed_as_it_was_played_live(url, run):
    (played, *_) = read_trajectories(run / STEP_1)
    episode = get(f"{url}/0/episode", file=STEP_1, line=1)
    names = [name for name, _ in episode["events"]]
    assert names == ["question", *["turn"] * len(played.turns), "ending", "score"]
    events = dict(episode["events"])
    assert events["ending"]["answer"] == played.answer
    assert events["score"]["reward"] == pytest.approx(played.reward)
    assert events["score"]["parts"] == pytest.approx(played.reward_parts)
    assert all(source["quote"] for source in events["ending"]["sources"])
    assert len(episode["group"]) == GROUP_SIZE
    assert episode["note"] == ""


def test_without_its_mailbox_an_episode_shows_what_was_recorded_and_says_so(run, tmp_path):
    alone = tmp_path / "alone.jsonl"
    write_trajectories(alone, read_trajectories(run / STEP_1))
    with viewed(alone) as url:
        assert "No mailbox is named here" in " ".join(get(f"{url}/api/runs/0/rows")["notes"])
        episode = get(f"{url}/api/runs/0/episode", file="alone.jsonl", line=1)
        assert "not found" in episode["note"]
        contents = [call["content"] for name, card in episode["events"] if name == "turn" for call in card["calls"]]
        assert any("Subject: " in content for content in contents)
        assert dict(episode["events"])["score"]["parts"], "the reward was recorded"
        assert httpx.get(f"{url}/api/runs/0/mails", params={"inbox": episode["item"]["inbox"]}).status_code == 422
        assert get(f"{url}/api/runs/0/rows", level="groups")["num_matches"] == 2, "groups are seen without a run"


def test_a_group_has_its_advantages_side_by_side(url):
    group = get(f"{url}/0/group", file=STEP_1, line=3)
    rewards = [one["reward"] for one in group["members"]]
    advantages = [one["advantage"] for one in group["members"]]
    assert advantages == pytest.approx([reward - sum(rewards) / len(rewards) for reward in rewards])
    assert all(one["has_tokens"] and one["calls"] for one in group["members"])


def test_tokens_are_those_of_the_episode_or_there_are_none(url):
    record = get(f"{url}/0/tokens", file=STEP_1, line=2)
    assert record["line"] == 2
    assert sum(record["mask"]) == len(record["logprobs"])
    missing = httpx.get(f"{url}/0/tokens", params={"file": STEP_1, "line": 6})
    assert missing.status_code == 422
    assert "no tokens were kept" in missing.json()["error"]


def test_the_same_question_is_found_in_all_sources(url):
    asked = get(f"{url}/1/rows")["items"][0]["question_id"]
    found = get(f"{url}/same", question=asked)["episodes"]
    assert {(one["source"], one["set"]) for one in found} == {
        (0, "training"), (0, "base"), (0, "trained"), (1, "trained"),
    }  # fmt: skip


def test_a_benchmark_is_shown_with_its_grades_and_its_own_mailbox(folder, tmp_path):
    mailbox, questions = invented(folder)
    gold = {question.id: question for question in questions}
    bench, grades = tmp_path / "bench", []
    bench.mkdir()
    for player in ("oracle", "keywords-and"):
        path = bench / f"{player}.jsonl"
        played = [one.model_copy(update=UNREWARDED) for one in play(mailbox, questions[:3], [player])]
        write_trajectories(path, played)
        grades += [grade(player, 0, one, gold[one.question_id], "answer", (path, n)) for n, one in enumerate(played, 1)]
    write_grades(bench / "grades.jsonl", grades)
    with viewed(bench) as url:
        shown = get(f"{url}/api/runs/0/rows")
        assert [(row["kind"], row["outcome"]) for row in shown["items"]] == [
            (one.kind, one.outcome) for one in sorted(grades, key=lambda one: one.file)
        ]
        assert "No mailbox is named here" in " ".join(shown["notes"])
    (bench / "settings.json").write_text(json.dumps({"mailbox": [str(mailbox)]}), encoding="utf-8")
    with viewed(bench) as url:
        assert get(f"{url}/api/runs/0/rows")["notes"] == []
        events = dict(get(f"{url}/api/runs/0/episode", file="oracle.jsonl", line=1)["events"])
        assert events["score"]["outcome"] == "right"


def test_the_html_of_a_mail_is_asked_of_the_mailbox_of_its_run(url):
    item = get(f"{url}/0/rows")["items"][0]
    answer = httpx.get(f"{url}/0/mail/html", params={"inbox": item["inbox"], "ref": 1})
    assert answer.status_code == 404
    assert "no HTML is kept" in answer.json()["error"]
    used = (FOLDER / "mail_pane.js").read_text(encoding="utf-8")
    assert "`${this.at}/mail/html?" in used, "and not of another route, which the viewer does not have"


def test_neighbours_are_those_of_the_filter(url):
    rows = get(f"{url}/0/rows", outcome="right")["items"]
    middle = rows[1]
    where = {"file": middle["file"], "line": middle["line"], "outcome": "right"}
    assert get(f"{url}/0/next", **where, by=1)["item"] == rows[2]
    assert get(f"{url}/0/next", **where, by=-1) == {"item": rows[0], "index": 0}
    where = {"file": rows[-1]["file"], "line": rows[-1]["line"], "outcome": "right"}
    assert get(f"{url}/0/next", **where, by=1)["item"] is None


@pytest.mark.parametrize("name", ["../config.json", "config.json", "/etc/passwd", "trajectories", ""])
def test_only_files_of_the_list_can_be_named(url, name):
    for what in ("episode", "group", "tokens", "next"):
        answer = httpx.get(f"{url}/0/{what}", params={"file": name, "line": 1, "by": 1})
        assert answer.status_code in (400, 422)
        assert "root:" not in answer.text
    assert httpx.get(f"{url}/7/rows").status_code == 422


def test_the_numbers_of_a_run_are_streamed_as_they_are_written(folder):
    growing = make_run(folder, *invented(folder), num_steps=1, name="growing")
    with viewed(growing) as url, httpx.stream("POST", f"{url}/api/runs/0/watch", json={}, timeout=20) as answer:
        heard = []
        lines = answer.iter_lines()
        for line in lines:
            heard += events(iter([f"event: {'rows'}", line])) if line.startswith("data: ") else []
            if len(heard) == 1 and not line:
                add_step(growing, 2)
            if len(heard) == 2:
                break
    assert [(data["from"], [row["step"] for row in data["rows"]]) for _, data in heard] == [(0, [1]), (1, [2])]


def test_an_export_stands_alone_and_no_text_can_leave_its_data(url, run, tmp_path):
    hostile = "</script><script>window.__ran = true</script><!-- ' \" & \u2028"
    (first, *_) = read_trajectories(run / STEP_1)
    path = tmp_path / "hostile.jsonl"
    write_trajectories(path, [first.model_copy(update={"question": hostile, "answer": hostile, "policy": hostile})])
    out = tmp_path / "page.html"
    assert main(["view", str(path), "--export", str(out)]) == 0
    page = out.read_text(encoding="utf-8")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none'; ")
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", page, re.DOTALL)
    assert [attributes for attributes, _ in scripts] == [' type="application/json" id="episodes"', ""]
    for kind, text in (("script", scripts[1][1]), ("style", re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1])):
        digest = b64encode(sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "<" not in scripts[0][1]
    assert json.loads(scripts[0][1])["episodes"][0]["item"]["policy"].startswith("</script>")
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//|@import|url\(""", page.replace(scripts[0][1], ""))


def test_an_export_holds_the_mails_that_were_opened_and_no_others(url, run):
    page = httpx.get(f"{url}/0/export", params={"file": STEP_1, "line": 1})
    assert page.headers["content-disposition"].startswith("attachment")
    data = json.loads(re.search(r'id="episodes">(.*?)</script>', page.text, re.DOTALL)[1])
    (played, *_) = read_trajectories(run / STEP_1)
    opened = {one for turn in played.turns for result in turn.results for one in result.opened} | set(played.sources)
    (episode,) = data["episodes"]
    assert {mail["message_id"] for mail in episode["mails"].values()} == opened
    selection = httpx.get(f"{url}/0/export", params={"outcome": "right"}).text
    rows = get(f"{url}/0/rows", outcome="right")["num_matches"]
    assert len(json.loads(re.search(r'id="episodes">(.*?)</script>', selection, re.DOTALL)[1])["episodes"]) == rows


def test_a_run_says_how_its_policies_did_and_what_the_doctor_found(url, run):
    facts = get(f"{url}/0/facts")
    assert {one["name"]: one["accuracy"] for one in facts["policies"]}["trained"] == 1.0
    assert facts["policies"][0]["name"] == "trained", "the best first"
    (finding,) = facts["findings"]
    assert (finding["name"], finding["severity"], finding["step"]) == ("zero spread", "warning", 2)
    other = get(f"{url}/1/facts")
    assert (other["policies"], other["findings"]) == ([], []), "a file says nothing of itself"


def test_only_the_run_that_is_shown_is_read(run, tmp_path):
    first, second = Source(run), Source(run / "evaluation" / "base.jsonl")
    routes = RunRoutes([first, second])
    app = Starlette(routes=routes.routes())
    with TestClient(app) as client:
        assert len(client.get("/api/runs/start").json()["sources"]) == 2
        client.get("/api/runs/0/rows")
    assert (len(first.rows()), second.rows()) == (32, [])


def test_the_viewer_starts_without_what_only_a_part_of_it_needs():
    code = (
        "import sys, scripts.playground.run_page; sys.exit(bool({'torch', 'scipy', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_data_in_a_page_comes_back_as_it_was():
    value = {"text": "</script><!--<script>&amp; \u2028 é\ud800", "number": 1.5, "none": None}
    text = as_data(value)
    assert not set("<>&") & set(text)
    assert json.loads(text) == value


@pytest.mark.parametrize(
    "query",
    [
        SearchQuery(("budget", "2001")),
        SearchQuery((" two words", "x.y@z")),
        SearchQuery(("plan",), from_addr="Ann Lee", sent_after="2001-01-02"),
    ],
)
def test_a_replayed_search_is_typed_as_the_agent_sent_it(query):
    from dataclasses import replace
    from datetime import date

    if query.sent_after:
        query = replace(query, sent_after=date.fromisoformat(str(query.sent_after)))
    again = parse_query(typed(query), "newest", 1)
    assert again.keywords == tuple(word.strip() for word in query.keywords)
    assert (again.from_addr, again.sent_after) == (query.from_addr, query.sent_after)


def test_a_run_that_is_not_there_is_one_clear_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["view"]) == 2
    assert main(["view", "missing"]) == 2
    assert main(["view", "missing", "--id", "x"]) == 2
    Path("mail.mbox").write_text("From ann@example.org\nSubject: Boat\n\nyes\n", encoding="utf-8")
    Path("empty.jsonl").touch()
    assert main(["view", "mail.mbox"]) == 2
    assert main(["view", "empty.jsonl"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 5
    assert all("E-USE-81" in line for line in errors[3:])
    assert all(line.startswith("error[E-USE-") for line in errors)
