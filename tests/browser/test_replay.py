"""A replay in a real browser: step by step, tokens, groups, pairs."""

from __future__ import annotations

import re

from inbox_env.trajectory import read_trajectories
from tests.browser.visits import STEP_1, best_episode, slowly, view
from tests.scripts.playground.runs import GROUP_SIZE


def test_an_episode_is_replayed_from_start_to_end_by_keyboard(browser, view_url, run) -> None:
    line = best_episode(run)
    played = list(read_trajectories(run / "trajectories" / "step-000001.jsonl"))[line - 1]
    with view(browser, view_url, f"0/episode/{STEP_1}/{line}", ".scrub") as page:
        assert page.locator(".turn:visible").count() == 0
        assert page.locator(".ending").is_hidden()
        num_places = int(page.locator("input[type=range]").get_attribute("max"))
        for place in range(1, num_places):
            page.keyboard.press("ArrowRight")
            assert page.locator(".turn:visible").count() == place
        page.wait_for_selector(".pane.mail h2")
        page.keyboard.press("ArrowRight")
        assert played.answer in page.inner_text(".ending")
        assert page.locator(".score").is_visible()
        page.wait_for_selector(".pane.mail mark")
        page.keyboard.press("ArrowLeft")
        assert page.locator(".ending").is_hidden()
        page.keyboard.press("Home")
        assert page.locator(".turn:visible").count() == 0
        assert page.locator(".pane.mail h2").count() == 0, "no mail was opened before the first turn"
        page.locator("input[type=range]").focus()
        page.keyboard.press("End")
        assert page.locator(".ending").is_visible(), "the bar scrubs"


def test_the_inbox_follows_what_the_agent_searched_and_opened(browser, view_url, run) -> None:
    played = list(read_trajectories(run / "trajectories" / "step-000001.jsonl"))
    turns = [[turn.results[0] for turn in one.turns] for one in played]
    line = next(at for at, (first, *more) in enumerate(turns, 1) if more and {*more[0].opened} & {*first.listed})
    with view(browser, view_url, f"0/episode/{STEP_1}/{line}", ".scrub") as page:
        marked = page.locator(".mail-list [role=option][aria-selected=true]")
        page.keyboard.press("ArrowRight")
        page.locator(".mail-list .list-status", has_text="found").wait_for()
        typed = page.input_value(".mail-list input")
        assert all(word.strip() in typed for word in turns[line - 1][0].arguments["keywords"])
        count = int(re.match(r"\d+", page.inner_text(".mail-list .list-status"))[0])
        assert f"{count} found" in page.inner_text(".turn.current")
        assert marked.count() == 0
        page.keyboard.press("ArrowRight")
        marked.wait_for()
        assert marked.locator(".subject").inner_text() == page.inner_text(".pane.mail h2")
        page.keyboard.press("Home")
        page.locator(".mail-list .list-status", has_text=re.compile(r"^\d+ mails?$")).wait_for()
        assert page.input_value(".mail-list input") == "", "before the first search the whole inbox is there"
        assert marked.count() == 0


def test_tokens_show_their_numbers_on_hover_and_on_focus(browser, view_url) -> None:
    with view(browser, view_url, f"0/episode/{STEP_1}/1", ".scrub") as page:
        page.keyboard.press("t")
        page.wait_for_selector(".token-text")
        facts = page.locator(".token-facts")
        page.locator(".token-text .token:not(.sampled)").last.hover()
        assert "not trained on" in facts.inner_text()
        page.locator(".token-text .sampled").nth(2).hover()
        for name in ("logprob", "−0.740 (47.7 %)", "ratio", "1.105", "advantage", "0.250", "mask", "1: sampled"):
            assert name in facts.inner_text()
        page.locator(".token-text").focus()
        page.keyboard.press("ArrowLeft")
        assert "−0.370" in facts.inner_text()
        page.locator(".pane.agent .log").focus()
        page.keyboard.press("t")
        page.wait_for_selector(".tokens", state="detached")


def test_a_group_stands_side_by_side_and_leads_to_its_rollouts(browser, view_url) -> None:
    with view(browser, view_url, f"0/episode/{STEP_1}/2", ".scrub") as page:
        page.keyboard.press("g")
        page.wait_for_selector(".member")
        members = page.locator(".member")
        assert members.count() == GROUP_SIZE
        tops = {round(members.nth(place).bounding_box()["y"]) for place in range(GROUP_SIZE)}
        assert len(tops) == 1
        told = [members.nth(place).inner_text() for place in range(GROUP_SIZE)]
        assert all("advantage" in text for text in told)
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        page.wait_for_selector(".scrub")
        assert "rollout 2 of 4" in page.inner_text(".crumbs")


def test_two_runs_are_compared_on_the_same_question(browser, view_url) -> None:
    with view(browser, view_url, f"0/episode/{STEP_1}/1", ".scrub") as page:
        page.keyboard.press("c")
        page.wait_for_selector("dialog.palette[open]")
        page.keyboard.type("second trained")
        page.keyboard.press("Enter")
        page.wait_for_selector(".pair .scrub")
        sides = page.locator(".side")
        assert [sides.nth(n).locator(".facts").first.inner_text().split()[0] for n in (0, 1)] == ["run", "second"]
        questions = {sides.nth(n).locator(".asked").inner_text() for n in (0, 1)}
        assert len(questions) == 1
        assert page.locator(".ending:visible").count() == 2
        page.keyboard.press("Home")
        page.keyboard.press("ArrowRight")
        assert [sides.nth(n).locator(".turn:visible").count() for n in (0, 1)] == [1, 1]
        page.locator(".side .mail-line:visible").first.click()
        page.wait_for_selector("dialog.mail-dialog .body")


def test_what_comes_late_does_not_take_the_place_of_what_was_asked_for_since(browser, view_url) -> None:
    with view(browser, view_url) as page:
        slowly(page, "**/episode?*line=2")
        page.evaluate(f"location.hash = '#/runs/0/episode/{STEP_1}/2'")
        page.evaluate(f"location.hash = '#/runs/0/episode/{STEP_1}/3'")
        page.wait_for_selector(".crumbs:has-text('rollout 3 of 4')")
        page.wait_for_timeout(1500)
        assert "rollout 3 of 4" in page.inner_text(".crumbs")
        assert page.locator(".scrub").count() == 1
        page.keyboard.press("g")
        page.wait_for_selector(".member", timeout=5000)
