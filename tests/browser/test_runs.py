"""Runs in a real browser: filters, live curves, faults of files, an exported file."""

from __future__ import annotations

from inbox_env.trajectory import read_trajectories, write_trajectories
from tests.browser.visits import STEP_1, best_episode, view, visit
from tests.scripts.playground.runs import add_step, make_run, viewed
from tests.scripts.playground.served import invented


def test_filters_narrow_the_list_and_are_kept_on_the_way_back(browser, view_url) -> None:
    with view(browser, view_url) as page:
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


def test_a_policy_of_the_table_leads_to_its_episodes(browser, view_url) -> None:
    with view(browser, view_url) as page:
        page.get_by_role("button", name="trained", exact=True).click()
        page.locator("#run-status", has_text="4 of 32").wait_for()
        assert "zero spread" in page.inner_text(".findings")


def test_the_curve_grows_while_the_run_trains(browser, folder) -> None:
    growing = make_run(folder, *invented(folder), num_steps=2, name="growing")
    with viewed(growing) as url, view(browser, url) as page:
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
    with viewed(begun) as url, view(browser, url) as page:
        page.get_by_text("No step yet").wait_for()
        (begun / "metrics.jsonl").write_text(row, encoding="utf-8")
        page.get_by_text("Step 1 of 2").wait_for(timeout=5000)


def test_an_exported_file_replays_from_the_disk(browser, view_url, run, tmp_path) -> None:
    with view(browser, view_url, f"0/episode/{STEP_1}/{best_episode(run)}", ".scrub", accept_downloads=True) as page:
        with page.expect_download() as waiting:
            page.keyboard.press("x")
        saved = tmp_path / "one.html"
        waiting.value.save_as(saved)
    with visit(browser, saved.as_uri(), wait=".scrub") as page:
        page.keyboard.press("End")
        assert page.locator(".ending").is_visible()
        page.wait_for_selector(".pane.mail mark")


def test_what_is_wrong_with_a_file_is_said(browser, run, tmp_path) -> None:
    path = tmp_path / "torn.jsonl"
    lines = (run / "trajectories" / "step-000001.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text(lines[0] + "{broken\n" + lines[1] + lines[2][:50], encoding="utf-8")
    with viewed(path) as url, view(browser, url) as page:
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
