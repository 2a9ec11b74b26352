"""The viewer in a real browser: replay, tokens, groups, pairs, filters, live curves, an exported file."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from inbox_env.trajectory import read_trajectories, write_trajectories
from tests.scripts.playground.runs import GROUP_SIZE, add_step, make_run, viewed
from tests.scripts.playground.served import invented

STEP_1 = "trajectories%2Fstep-000001.jsonl"
HOSTILE = "</script><script>window.__ran = true</script><img src=x onerror='window.__ran = true'><style>*{color:red}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("viewer")


@pytest.fixture(scope="module")
def run(folder: Path) -> Path:
    return make_run(folder, *invented(folder))


@pytest.fixture(scope="module")
def url(run: Path, folder: Path) -> Iterator[str]:
    second = make_run(folder, *invented(folder), num_steps=1, name="second")
    with viewed(run, second) as url:
        yield url


@contextmanager
def visit(browser: Any, url: str, place: str = "0", wait: str = ".run-list .row", **options: Any) -> Iterator[Any]:
    """Open a place of the viewer in a window of its own; it must not complain, nor ask another host for anything."""
    context = browser.new_context(reduced_motion="reduce", **options)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    page.on("request", lambda request: request.url.startswith(url) or complaints.append(request.url))
    page.goto(f"{url}/#/runs/{place}" if url.startswith("http") else url)
    page.wait_for_selector(wait)
    try:
        yield page
    finally:
        context.close()
    assert complaints == []


def best_episode(run: Path) -> int:
    """Return the line of an episode of step 1 that searched or opened mails and was right."""
    played = list(read_trajectories(run / "trajectories" / "step-000001.jsonl"))
    return next(line for line, one in enumerate(played, 1) if one.reward and one.reward > 1 and one.turns[0].results)


def test_an_episode_is_replayed_from_start_to_end_by_keyboard(browser, url, run) -> None:
    line = best_episode(run)
    played = list(read_trajectories(run / "trajectories" / "step-000001.jsonl"))[line - 1]
    with visit(browser, url, f"0/episode/{STEP_1}/{line}", ".scrub") as page:
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


def test_the_inbox_follows_what_the_agent_searched_and_opened(browser, url, run) -> None:
    played = list(read_trajectories(run / "trajectories" / "step-000001.jsonl"))
    turns = [[turn.results[0] for turn in one.turns] for one in played]
    line = next(at for at, (first, *more) in enumerate(turns, 1) if more and {*more[0].opened} & {*first.listed})
    with visit(browser, url, f"0/episode/{STEP_1}/{line}", ".scrub") as page:
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


def test_tokens_show_their_numbers_on_hover_and_on_focus(browser, url) -> None:
    with visit(browser, url, f"0/episode/{STEP_1}/1", ".scrub") as page:
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


def test_a_group_stands_side_by_side_and_leads_to_its_rollouts(browser, url) -> None:
    with visit(browser, url, f"0/episode/{STEP_1}/2", ".scrub") as page:
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


def test_two_runs_are_compared_on_the_same_question(browser, url) -> None:
    with visit(browser, url, f"0/episode/{STEP_1}/1", ".scrub") as page:
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


def slowly(page: Any, path: str) -> None:
    """Let answers to this path come a second late."""
    page.route(path, lambda route: (time.sleep(1), route.continue_()))


def test_a_key_is_heard_before_everything_has_come(browser, url) -> None:
    with visit(browser, url) as page:
        slowly(page, "**/mails?*")
        page.goto("about:blank")
        page.goto(f"{url}/#/runs/0/episode/{STEP_1}/2")
        page.wait_for_selector(".scrub")
        page.keyboard.press("g")
        page.wait_for_selector(".member", timeout=5000)


def test_what_comes_late_does_not_take_the_place_of_what_was_asked_for_since(browser, url) -> None:
    with visit(browser, url) as page:
        slowly(page, "**/episode?*line=2")
        page.evaluate(f"location.hash = '#/runs/0/episode/{STEP_1}/2'")
        page.evaluate(f"location.hash = '#/runs/0/episode/{STEP_1}/3'")
        page.wait_for_selector(".crumbs:has-text('rollout 3 of 4')")
        page.wait_for_timeout(1500)
        assert "rollout 3 of 4" in page.inner_text(".crumbs")
        assert page.locator(".scrub").count() == 1
        page.keyboard.press("g")
        page.wait_for_selector(".member", timeout=5000)


def test_filters_narrow_the_list_and_are_kept_on_the_way_back(browser, url) -> None:
    with visit(browser, url) as page:
        assert page.inner_text("#run-status") == "32 episodes"
        page.get_by_role("combobox", name="Outcome").select_option("right")
        page.locator("#run-status", has_text=" of 32").wait_for()
        left = int(page.inner_text("#run-status").split()[0])
        assert 0 < left < 32
        assert set(page.locator(".run-list .outcome").all_inner_texts()) == {"right"}
        page.keyboard.press("Escape")
        page.locator(".scroller").focus()
        page.keyboard.press("j")
        page.keyboard.press("o")
        page.wait_for_selector(".scrub")
        first = page.url
        page.keyboard.press("j")
        page.wait_for_url(lambda address: address != first)
        page.wait_for_selector(".scrub")
        assert "right" in page.inner_text(".crumbs"), "the next one is the next of the filter"
        page.keyboard.press("u")
        page.wait_for_selector(".run-list .row")
        assert page.inner_text("#run-status").startswith(f"{left} of 32")
        page.keyboard.press("]")
        page.wait_for_selector(".chip-button:has-text('Step 1')")
        page.get_by_role("button", name="Clear").click()
        page.locator("#run-status").get_by_text("32 episodes", exact=True).wait_for()
        page.get_by_role("button", name="Steps", exact=True).click()
        page.locator(".run-list .row").nth(1).click()
        page.wait_for_selector(".chip-button:has-text('Step 2')")
        assert page.inner_text("#run-status") == "2 groups, 8 of 32 episodes"


def test_a_policy_of_the_table_leads_to_its_episodes(browser, url) -> None:
    with visit(browser, url) as page:
        page.get_by_role("button", name="trained", exact=True).click()
        page.locator("#run-status", has_text="4 of 32").wait_for()
        assert "zero spread" in page.inner_text(".findings")


def test_every_key_is_in_the_help_and_every_way_in_the_palette(browser, url) -> None:
    with visit(browser, url, f"0/episode/{STEP_1}/1", ".scrub") as page:
        page.keyboard.press("?")
        told = page.locator("dialog.help kbd").all_inner_texts()
        assert {"→", "←", "Home", "End", "Space", "[", "]", "j", "k", "g", "t", "c", "x", "u", "?"} <= set(told)
        page.keyboard.press("Escape")
        page.keyboard.press("Control+k")
        commands = page.locator("dialog.palette li").all_inner_texts()
        assert any("Export this episode" in text for text in commands)
        assert sum("of the group" in text for text in commands) == GROUP_SIZE


def test_the_curve_grows_while_the_run_trains(browser, folder) -> None:
    growing = make_run(folder, *invented(folder), num_steps=2, name="growing")
    with viewed(growing) as url, visit(browser, url) as page:
        page.wait_for_selector("[data-metric=reward_mean] path.line")
        assert page.inner_text(".run-state") == "Step 2 of 4"
        before = page.get_attribute("[data-metric=reward_mean] path.line", "d")
        played = list(read_trajectories(growing / "trajectories" / "step-000002.jsonl"))
        write_trajectories(growing / "trajectories" / "step-000003.jsonl", played)
        add_step(growing, 3)
        page.get_by_text("Step 3 of 4").wait_for(timeout=5000)
        after = page.get_attribute("[data-metric=reward_mean] path.line", "d")
        assert (before.count("L"), after.count("L")) == (1, 2)
        page.locator("#run-status").get_by_text("32 episodes", exact=True).wait_for(timeout=5000)


def test_a_run_is_watched_from_before_its_first_step(browser, folder) -> None:
    begun = make_run(folder, *invented(folder), num_steps=1, name="begun")
    row = (begun / "metrics.jsonl").read_text(encoding="utf-8")
    (begun / "metrics.jsonl").unlink()
    (begun / "lock").touch()
    with viewed(begun) as url, visit(browser, url) as page:
        page.get_by_text("No step yet").wait_for()
        (begun / "metrics.jsonl").write_text(row, encoding="utf-8")
        page.get_by_text("Step 1 of 2").wait_for(timeout=5000)


def test_an_exported_file_replays_from_the_disk_and_runs_no_text(browser, url, run, tmp_path) -> None:
    with visit(browser, url, f"0/episode/{STEP_1}/{best_episode(run)}", ".scrub", accept_downloads=True) as page:
        with page.expect_download() as waiting:
            page.keyboard.press("x")
        saved = tmp_path / "one.html"
        waiting.value.save_as(saved)
    with visit(browser, saved.as_uri(), wait=".scrub") as page:
        page.keyboard.press("End")
        assert page.locator(".ending").is_visible()
        page.wait_for_selector(".pane.mail mark")
    text = saved.read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="episodes">(.*?)</script>', text, re.DOTALL)[1])
    for episode in data["episodes"]:
        episode["item"]["question"] = HOSTILE
        for mail in episode["mails"].values():
            mail["subject"] = mail["body"] = HOSTILE
    from scripts.playground.export_html import as_data

    hostile = tmp_path / "hostile.html"
    parts = re.split(r'(?<=id="episodes">).*?(?=</script>)', text, maxsplit=1, flags=re.DOTALL)
    hostile.write_text(parts[0] + as_data(data) + parts[1], encoding="utf-8")
    with visit(browser, hostile.as_uri(), wait=".scrub") as page:
        page.keyboard.press("End")
        page.wait_for_selector(".pane.mail h2")
        assert HOSTILE in page.inner_text(".pane.mail")
        assert page.evaluate("window.__ran") is None
        assert page.locator(".pane img, .pane script, .pane style").count() == 0


def test_what_is_wrong_with_a_file_is_said(browser, run, tmp_path) -> None:
    path = tmp_path / "torn.jsonl"
    lines = (run / "trajectories" / "step-000001.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text(lines[0] + "{broken\n" + lines[1] + lines[2][:50], encoding="utf-8")
    with viewed(path) as url, visit(browser, url) as page:
        notes = page.inner_text(".notes")
        assert "1 line is no trajectory and left out (line 2" in notes
        assert "still being written" in notes
        assert "No mailbox is named here" in notes
        assert page.locator(".run-list .row").count() == 2
        page.locator(".run-list .row").first.click()
        page.wait_for_selector(".scrub")
        assert "was not found" in page.inner_text(".note")
        page.keyboard.press("ArrowRight")
        assert "What the agent saw" in page.inner_text(".pane.mail")


PLACES = {
    "list": ("0", ".run-list .row"),
    "replay": (f"0/episode/{STEP_1}/1", ".scrub"),
    "tokens": (f"0/tokens/{STEP_1}/1", ".token-text"),
    "group": (f"0/group/{STEP_1}/1", ".member"),
    "pair": (f"0/pair/{STEP_1}/1/1/{STEP_1}/2", ".pair .scrub"),
}


@pytest.mark.parametrize("name", PLACES)
def test_every_place_fits_a_small_screen(browser, url, name) -> None:
    with visit(browser, url, *PLACES[name], viewport={"width": 360, "height": 740}) as page:
        page.keyboard.press("End")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        outside = page.evaluate(
            "[...document.querySelectorAll('main :is(button, select, input):not(.members *)')].filter(one => {"
            " const box = one.getBoundingClientRect(); return box.left < 0 || box.right > 361 })"
            ".map(one => one.outerHTML)"
        )
        assert outside == []
        assert page.locator("main :is(button, select, input):visible").count() > 2


@pytest.mark.parametrize("name", PLACES)
def test_axe_finds_nothing_serious_and_in_the_dark_no_faint_text(browser, url, name) -> None:
    axe = pytest.importorskip("axe_playwright_python.base").AXE_FILE_PATH
    with visit(browser, url, *PLACES[name], bypass_csp=True, color_scheme="light") as page:
        page.keyboard.press("End")
        page.wait_for_timeout(100)
        page.evaluate(Path(axe).read_text(encoding="utf-8"))
        found = page.evaluate("axe.run()")["violations"]
        page.emulate_media(color_scheme="dark")
        found += page.evaluate("axe.run({ runOnly: ['color-contrast'] })")["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert [(one["id"], [node["html"][:160] for node in one["nodes"][:3]]) for one in serious] == []
