"""Asking in a real browser: by a policy, by the bundled agent, by hand."""

from __future__ import annotations

from pathlib import Path

from tests.browser.visits import ask_example, visit
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
