"""`bench --like`: who is no trained agent plays under that agent's prompt and limits; reports say what under."""

from __future__ import annotations

import json

import pytest

from agent.agent_card import AgentCard
from agent.chat_format import ChatFormat
from agent.model_folder import LoadedModel, save_model
from inbox_env.env import EnvLimits
from inbox_env.questions import write_questions
from inbox_env.rendering import ResultStyle
from inbox_env.store import build_inbox
from inbox_env.synthetic import generate_inbox
from scripts.cli import main
from tests.agent.tiny import CONTEXT, LIMITS, make_model, make_tokenizer, write_model_folder
from tests.scripts.live_policy import live

OTHER = EnvLimits(max_turns=2, style=ResultStyle(hits_per_page=2, page_chars=300))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A mailbox with questions, a trained run, and a base whose card says something else."""
    folder = tmp_path_factory.mktemp("terms")
    inbox = generate_inbox("train", 7, num_emails=100, num_questions=8)
    build_inbox(folder / "m.db", inbox.name, inbox.emails, owner=inbox.owner)
    write_questions(folder / "q.jsonl", inbox.questions)
    tokenizer = make_tokenizer()
    write_model_folder(folder / "run" / "model", tokenizer)
    card = AgentCard(prompt="default", limits=OTHER, max_new_tokens=12, max_context=CONTEXT)
    save_model(folder / "base", LoadedModel(make_model(), ChatFormat(tokenizer), card))
    return folder, inbox.questions


def bench(folder, out, *policies, like=None, options=()):
    words = ["bench", "--mailbox", str(folder / "m.db"), "--questions", str(folder / "q.jsonl"), "--out", str(out)]
    words += [word for policy in policies for word in ("--policy", policy)]
    return main([*words, *(["--like", str(like)] if like else []), *options])


def rows(out):
    return {row["name"]: row for row in json.loads((out / "summary.json").read_text())["policies"]}


def limits(match="all"):
    return LIMITS.model_copy(update={"match": match}).model_dump(mode="json")


def test_a_prompted_model_and_the_heuristics_play_under_the_agents_prompt_and_limits(site, tmp_path, capsys):
    folder, questions = site
    with live(questions) as server:
        model, run = f"openai:{server.url}", f"local:{folder / 'run'}"
        policies = (run, model, "keywords-names", "keywords-bm25", "oracle")
        assert bench(folder, tmp_path / "out", *policies, like=folder / "run") == 0
        assert {one.partition(" of ")[0] for one in server.prompts} == {"Inbox"}
        assert not any("@" in one for one in server.results)  # the agent's limits show no addresses
    found = rows(tmp_path / "out")
    assert found[run]["terms"] == found[model]["terms"] == {"prompt": "laptop", "limits": limits()}
    assert found["keywords-names"]["terms"] == {"prompt": None, "limits": limits()}
    assert found["keywords-bm25"]["terms"]["limits"] == limits("any")
    assert "warning: " not in capsys.readouterr().out
    assert "warning: " not in (tmp_path / "out" / "report.html").read_text()


def test_a_base_gets_the_agents_terms_and_a_trained_agent_keeps_its_own(site, tmp_path):
    folder, _ = site
    base, run = f"local:{folder / 'base'}", f"local:{folder / 'run'}"
    policies = (run, base, f"keywords-bm25+{base}", f"keywords-names+{run}")
    assert bench(folder, tmp_path / "like", *policies, like=folder / "base") == 0
    found = rows(tmp_path / "like")
    assert found[base]["terms"] == {"prompt": "default", "limits": OTHER.model_dump(mode="json")}
    assert found[run]["terms"] == found[f"keywords-names+{run}"]["terms"] == {"prompt": "laptop", "limits": limits()}
    assert bench(folder, tmp_path / "equal", *policies, like=folder / "run") == 0
    found = rows(tmp_path / "equal")
    assert found[base]["terms"] == found[run]["terms"] == {"prompt": "laptop", "limits": limits()}
    assert found[f"keywords-bm25+{base}"]["terms"] == {"prompt": "laptop", "limits": limits("any")}


def test_unequal_terms_are_one_line_of_warning_in_every_report(site, tmp_path, capsys):
    folder, questions = site
    out = tmp_path / "out"
    with live(questions) as server:
        assert bench(folder, out, f"local:{folder / 'run'}", f"openai:{server.url}", "keywords-bm25") == 0
        assert {one.partition(" the ")[0] for one in server.prompts} == {"You find answers in"}
    shown = " ".join(capsys.readouterr().out.split())
    said = "prompt (laptop, default), max_turns (3, 10), hits_per_page (3, 10), snippet_chars (0, 160)"
    for text in (shown, (out / "report.md").read_text(), (out / "report.html").read_text()):
        assert f"warning: the policies did not play under equal terms: {said}" in text
        assert "match" not in text.partition("equal terms: ")[2].partition(";")[0]  # what a heuristic is, is no term
    assert "| local:" in (out / "report.md").read_text().partition("| played under |")[2]
    assert "Prompt and limits" in (out / "report.html").read_text()


def test_a_suite_names_the_agent_and_the_command_line_another(site, tmp_path):
    folder, _ = site
    suite = tmp_path / "s.toml"
    source = f'[[source]]\nkind = "files"\nmailbox = "{folder / "m.db"}"\nquestions = "{folder / "q.jsonl"}"\n'
    suite.write_text(f'title = "x"\nlike = "{folder / "base"}"\npolicies = ["oracle"]\n{source}')
    words = ["bench", "--suite", str(suite), "--out"]
    assert main([*words, str(tmp_path / "a")]) == 0
    assert rows(tmp_path / "a")["oracle"]["terms"]["limits"] == OTHER.model_dump(mode="json")
    assert main([*words, str(tmp_path / "b"), "--like", str(folder / "run")]) == 0
    assert rows(tmp_path / "b")["oracle"]["terms"]["limits"] == limits()


def test_episodes_of_other_terms_are_never_mixed_in(site, tmp_path, capsys):
    folder, _ = site
    assert bench(folder, tmp_path / "out", "oracle") == 0
    assert bench(folder, tmp_path / "out", "oracle", like=folder / "run") == 2
    assert "another setting: like" in capsys.readouterr().err
    settings = tmp_path / "out" / "settings.json"
    noted = json.loads(settings.read_text())
    noted["terms of oracle"]["limits"]["max_turns"] = 99  # a card that was changed between two halves
    settings.write_text(json.dumps(noted))
    (path,) = (tmp_path / "out").glob("oracle.jsonl")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    assert bench(folder, tmp_path / "out", "oracle") == 2
    assert "oracle played here with another prompt or other limits" in capsys.readouterr().err


def test_episodes_that_do_not_say_their_terms_are_shown_so(site, tmp_path, capsys):
    folder, _ = site
    assert bench(folder, tmp_path / "out", "oracle") == 0
    settings = tmp_path / "out" / "settings.json"
    noted = json.loads(settings.read_text())
    settings.write_text(json.dumps({name: noted[name] for name in ("mailbox", "tools")}))
    assert bench(folder, tmp_path / "out", "oracle", like=folder / "run") == 2
    assert "another setting: like" in capsys.readouterr().err  # they were like nobody
    assert bench(folder, tmp_path / "out", "oracle") == 0
    assert rows(tmp_path / "out")["oracle"]["terms"] is None
    assert "| oracle | not noted |" in (tmp_path / "out" / "report.md").read_text()


def test_a_folder_without_a_card_and_another_setting_are_refused(site, tmp_path, capsys):
    folder, _ = site
    assert bench(folder, tmp_path / "out", "oracle", like=tmp_path) == 2
    assert "no agent.json here" in capsys.readouterr().err
    options = ("--suite", "arte-compat")
    assert bench(folder, tmp_path / "out", "oracle", like=folder / "run", options=options) == 2
    assert "leave out --like" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
