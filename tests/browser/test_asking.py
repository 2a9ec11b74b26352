"""Asking in a real browser: by a policy, by the bundled agent, by hand."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.policies.scripted import answer, read
from inbox_env.inbox import Inbox
from inbox_env.trajectory import read_trajectories
from tests.browser.visits import ask, ask_example, visit
from tests.scripts.playground.served import invented, served


def test_an_example_is_asked_and_answered_with_its_source_opened_at_the_quote(browser, play_url, question) -> None:
    with visit(browser, play_url) as page:
        ask_example(page, question.question)
        shown = page.get_by_role("log").inner_text()
        assert question.answer in shown
        assert "Right" in shown
        assert page.get_by_label("As of").input_value() == str(question.asked_on), "the day that the list shows"
        page.wait_for_selector(".pane.mail mark")
        assert question.answer.casefold() in page.inner_text(".pane.mail mark").casefold()
        page.reload()
        page.wait_for_selector(".score")
        assert question.answer in page.get_by_role("log").inner_text(), "a reload forgets nothing"


def test_the_bundled_agent_is_asked_and_watched(browser, folder, questions, question, tmp_path) -> None:
    policy = f"local:{Path(__file__).resolve().parents[2] / 'data' / 'base'}"
    with served(invented(folder)[0], questions, tmp_path, policy=policy) as url, visit(browser, url) as page:
        page.get_by_role("button", name=question.question).click()
        page.get_by_role("textbox", name="Question").press("Enter")
        page.wait_for_selector(".turn", timeout=60_000)
        page.wait_for_selector(".score", timeout=60_000)
        shown = page.get_by_role("log").inner_text()
        assert "Searched" in shown
        assert "tokens" in shown


def test_consent_is_asked_for_a_model_elsewhere_however_it_is_named(browser, play_url) -> None:
    with visit(browser, play_url) as page:
        page.locator(".settings select").first.select_option("other")
        for spec, host in (("openai:https://llm.example.org/v1#m", "llm.example.org"), ("api+json:openai/m", "openai")):
            page.get_by_label("Another policy").fill(spec)
            page.get_by_label(f"are sent to {host}.").wait_for()
        page.get_by_label("Another policy").fill("openai:http://127.0.0.1:9/v1#m")
        page.locator(".consent").wait_for(state="hidden")


def test_the_seat_can_be_taken_and_left_without_an_answer(browser, play_url, question) -> None:
    with visit(browser, play_url) as page:
        page.get_by_role("button", name=question.question).click()
        page.get_by_role("button", name="Take the seat").click()
        page.get_by_role("button", name="Answer", exact=True).click()
        page.get_by_role("button", name="I don't know").click()
        page.wait_for_selector(".score")
        assert "Gave up" in page.get_by_role("log").inner_text()


def test_a_hand_played_question_is_scored_and_saved(browser, folder, questions, question, tmp_path) -> None:
    mailbox = invented(folder)[0]
    inbox = Inbox.open(mailbox, question.inbox)
    gold = inbox.read(question.message_ids[0], as_of=None)
    inbox.close()
    with served(mailbox, questions, tmp_path, policy="oracle") as url, visit(browser, url) as page:
        page.get_by_role("button", name=question.question).click()
        page.get_by_role("button", name="Take the seat").click()
        page.locator(".hand input").first.fill(", ".join(gold.email.subject.split()))
        page.locator(".hand button[type=submit]", has_text="Search").click()
        page.wait_for_selector(".card.search .mail-line")
        page.locator(".hand button[type=submit]", has_text="Open").wait_for()
        page.locator(".hand input").first.fill(str(gold.number))
        page.keyboard.press("Enter")
        page.wait_for_selector(".card.read")
        page.locator(".pane.mail h2", has_text=gold.email.subject).wait_for()
        page.locator(".hand input").first.fill(question.answer)
        assert page.locator(".hand input").nth(1).input_value() == str(gold.number), "what was opened last is cited"
        page.keyboard.press("Enter")
        page.wait_for_selector(".score")
        assert "Right" in page.inner_text(".score")
        page.get_by_text(f"Saved to {tmp_path / 'by-hand.jsonl'}").wait_for()
        assert page.locator(".hand").count() == 0
    (saved,) = read_trajectories(tmp_path / "by-hand.jsonl")
    assert [result.name for turn in saved.turns for result in turn.results][:2] == ["search_emails", "read_email"]
    assert (saved.answer, saved.reward is not None and saved.reward > 1) == (question.answer, True)


@pytest.mark.parametrize("is_midway", [True, False])
def test_f76_a_failed_episode_can_be_tried_again_and_is_kept(browser, folder, acting, tmp_path, is_midway) -> None:
    failures = [RuntimeError("the model fell over")]

    def fails_once(opening: Any, random: Any) -> Any:
        if is_midway:
            yield read(1)
        if failures:
            raise failures.pop()
        yield answer("second try")

    acting(fails_once)
    with served(invented(folder)[0], [], tmp_path, policy="scripted") as url, visit(browser, url) as page:
        ask(page, "Where?", ".failed")
        assert "the model fell over" in page.inner_text(".failed")
        assert page.locator(".card.read").count() == is_midway, "what was played before it failed stays"
        page.get_by_role("button", name="Try again").click()
        page.wait_for_selector(".ending")
        assert page.locator(".episode").count() == 2
        assert page.locator(".asked").all_inner_texts() == ["Where?", "Where?"]
        assert "second try" in page.inner_text(".episode:last-child .ending")
        page.reload()
        page.wait_for_selector(".ending")
        assert page.locator(".failed").count() == 1
        ask(page, "And now?", ".episode:nth-child(3) .ending")


def test_f80_the_answer_of_one_inbox_stays_out_of_another_chosen_since(browser, folder, acting, tmp_path) -> None:
    gate = threading.Event()

    def slow(opening: Any, random: Any) -> Any:
        yield read(5)
        gate.wait(10)
        yield read(6)
        yield answer("done", [6])

    acting(slow)
    mailbox = invented(folder)[0]
    with served(mailbox, [], tmp_path, policy="scripted") as url, visit(browser, url) as page:
        inboxes = page.get_by_role("combobox", name="Inbox")
        first, second = (option.get_attribute("value") for option in inboxes.locator("option").all())
        ask(page, "Where?", ".card.read")
        page.wait_for_selector(".pane.mail h2")
        inboxes.select_option(second)
        page.wait_for_selector(".pane.mail .empty")
        gate.set()
        page.wait_for_selector(".ending")
        page.wait_for_timeout(200)
        assert page.locator(".pane.mail h2").count() == 0, "what the agent reads there is not shown here"
        assert page.locator(".scroller [aria-selected=true]").count() == 0
        shown = httpx.get(f"{url}/api/mails", params={"inbox": second}).json()["hits"][0]["subject"]
        assert page.locator(".scroller .subject").first.inner_text() == shown
        page.locator(".card.read .mail-line").last.click()
        wanted = httpx.get(f"{url}/api/mail", params={"inbox": first, "ref": 6}).json()["subject"]
        page.locator(".pane.mail h2", has_text=wanted).wait_for()
        assert "Inbox" in page.inner_text(".pane.mail .envelope"), "it says that the mail is of another inbox"
        with page.expect_request("**/api/ask/play") as request:
            ask(page, "And here?")
        assert request.value.post_data_json["inbox"] == second


def test_f80_labels_that_come_late_are_not_those_of_the_inbox_chosen_since(browser, play_url) -> None:
    with visit(browser, play_url) as page:
        inboxes = page.get_by_role("combobox", name="Inbox")
        first, second = (option.get_attribute("value") for option in inboxes.locator("option").all())
        held: list[Any] = []
        page.route(f"**/questions?inbox={second}", lambda route: held.append(route))
        inboxes.select_option(second)
        inboxes.select_option(first)
        page.get_by_role("button", name="Labelled question").wait_for()
        with page.expect_response(f"**/questions?inbox={second}"):
            held[0].continue_()
        page.wait_for_timeout(50)
        page.get_by_role("button", name="Labelled question").click()
        hints = page.locator("dialog.palette .hint").all_inner_texts()
        assert hints
        assert all(hint.startswith(first) for hint in hints)


@pytest.mark.slow
def test_an_agent_that_was_just_trained_is_asked_in_the_browser(browser, folder, questions, question, tmp_path) -> None:
    root, run = Path(__file__).resolve().parents[2], tmp_path / "run"
    short = ["grpo.steps=2", "grpo.questions_per_step=2", "grpo.group_size=4", "eval.num_test_questions=4"]
    short += ["eval.num_questions=4", "run.checkpoint_every=1", f"run.out={tmp_path}", "run.name=run"]
    short += [f"data.synthetic.{split}.seeds=[{seed}]" for seed, split in enumerate(("train", "dev", "test"), 1)]
    options = [word for setting in short for word in ("--set", setting)]
    start = "from scripts.cli import main; raise SystemExit(main())"
    command = [sys.executable, "-c", start, "train", "--config", "scripts/configs/laptop.toml", *options]
    trained = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=500)
    assert trained.returncode == 0, trained.stderr
    with (
        served(invented(folder)[0], questions, tmp_path, policy=f"local:{run}") as url,
        visit(browser, url) as page,
    ):
        page.get_by_role("button", name=question.question).click()
        page.get_by_role("textbox", name="Question").press("Enter")
        page.wait_for_selector(".score", timeout=120_000)
        shown = page.get_by_role("log").inner_text()
        assert f"local:{run}" in shown
        assert page.locator(".card").count() >= 1
        assert "tokens" in shown
