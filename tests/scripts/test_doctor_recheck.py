"""`doctor RUN` judges a run anew from its files: a log that was lost or edited hides nothing."""

from __future__ import annotations

import json
import shutil

import pytest

from agent.arena import Arena
from agent.chat_format import ChatFormat
from agent.grpo.live_doctor import FILE
from agent.grpo.trainer import GrpoTrainer
from inbox_env.errors import ExitCode
from inbox_env.store import build_inbox
from inbox_env.synthetic import generate_inbox
from scripts.cli import main
from scripts.doctor_run import examine
from tests.agent.tiny import LIMITS, make_config, make_model, make_tokenizer, write_model_folder
from tests.scripts.test_doctor_run import by_letters, rewrite, sampled_wrongly


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    write_model_folder(folder / "base", make_tokenizer())
    inbox = generate_inbox("train", 1, num_emails=100, num_questions=20)
    build_inbox(folder / "mail.db", inbox.name, inbox.emails, owner=inbox.owner)
    return folder


def train(site, folder):
    folder.mkdir()
    model = {"path": str(site / "base")}
    config = make_config(folder, model=model, grpo={"steps": 2}, run={"kept_token_groups": 2})
    (folder / "config.json").write_text(config.model_dump_json())
    questions = generate_inbox("train", 1, num_emails=100, num_questions=20).questions
    arena = Arena.open(site / "mail.db", questions, LIMITS)
    trainer = GrpoTrainer(config, make_model(), ChatFormat.load(site / "base"), arena, arena, folder)
    trainer.grader.reward_fn = by_letters
    trainer.train()
    return folder


@pytest.fixture(scope="module")
def trained(site):
    return train(site, site / "run")


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def names(run):
    return [finding.name for finding in examine(run)[0]]


def tokens(run):
    return run / "tokens" / "step-000001.jsonl"


def forget_ids(run):
    for path in (run / "tokens").iterdir():
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps({k: v for k, v in row.items() if k != "token_ids"}) + "\n" for row in rows))


def train_on_a_token_less(run):
    def cut(row):
        first = row["mask"].index(1)
        row["mask"][first] = 0
        for name in ("sampled", "logprobs", "old_logprobs", "advantages"):
            row[name].pop(0)

    rewrite(tokens(run), cut)


def change_a_question(run):
    line = json.loads(tokens(run).read_text().splitlines()[0])["line"]
    path = run / "trajectories" / "step-000001.jsonl"
    rows = [json.loads(row) for row in path.read_text().splitlines()]
    rows[line - 1]["question"] += " And more?"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def change_an_id(run):
    rewrite(tokens(run), lambda row: row["token_ids"].__setitem__(3, row["token_ids"][3] ^ 1))


def lose_a_number(run):
    rewrite(tokens(run), lambda row: row["sampled"].pop())


def swap_questions(run):
    rewrite(tokens(run), lambda row: row.update(question_id="another"))


def improve_the_spread(run):
    rewrite(run / "metrics.jsonl", lambda row: row.update(zero_spread_fraction=row["zero_spread_fraction"] + 0.25))


def hide_the_cuts(run):
    rewrite(run / "metrics.jsonl", lambda row: row.update(truncated_fraction=row["truncated_fraction"] + 0.25))


def test_a_run_as_it_was_trained_is_healthy_and_all_of_it_is_rechecked(run):
    assert examine(run) == ([], [])
    forget_ids(run)  # as runs of before are: this model says pieces of letters
    findings, (note,) = examine(run)
    assert (findings, note.endswith("no ids were kept, and their text is not theirs alone")) == ([], True)


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (train_on_a_token_less, "masks_differ_from_text"),
        (change_a_question, "tokens_not_rederivable"),
        (change_an_id, "records_disagree"),
        (lose_a_number, "records_disagree"),
        (swap_questions, "records_disagree"),
        (improve_the_spread, "records_disagree"),
        (hide_the_cuts, "records_disagree"),
    ],
)
def test_what_was_wrong_or_edited_is_found_without_the_log_and_with_one_that_says_nothing(run, damage, name):
    damage(run)
    (run / FILE).unlink(missing_ok=True)
    assert names(run) == [name]
    (run / FILE).write_text("")
    assert names(run) == [name]
    assert "step 1" in examine(run)[0][0].evidence


def test_a_run_that_went_wrong_is_judged_so_though_its_log_is_lost(site, tmp_path, monkeypatch):
    sampled_wrongly(monkeypatch)
    run = train(site, tmp_path / "run")
    (run / FILE).unlink()
    assert "masks_differ_from_text" in names(run)


def test_what_cannot_be_rechecked_is_said(run, capsys):
    shutil.rmtree(run / "tokens")
    assert examine(run) == ([], ["tokens of 2 of 2 steps: none were kept"])
    rewrite(run / "config.json", lambda config: config["model"].update(path="nowhere"))
    ((note,),) = [examine(run)[1]]
    assert note.startswith("tokens of all steps: the run's tokenizer cannot be read (")
    assert main(["doctor", str(run)]) == ExitCode.OK
    assert "not rechecked: tokens of all steps" in capsys.readouterr().out
    assert main(["doctor", str(run), "--json"]) == ExitCode.OK
    captured = capsys.readouterr()
    assert (captured.out, "not rechecked: " in captured.err) == ("", True)
    shutil.rmtree(run / "trajectories")
    assert "tokens and groups: there are no trajectories of steps" in examine(run)[1]
