"""Episodes in the terminal: live and replayed alike, by keys or in a pipe, at any width, and nothing that is obeyed."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from inbox_env.actions import StopReason
from inbox_env.synthetic.mailbox import SyntheticRecipe, ensure_mailbox
from inbox_env.trajectory import ToolResultRecord, Trajectory, Turn, write_trajectories
from scripts.cli import main
from scripts.episode_view import EpisodeView
from scripts.recorded_episodes import Record, TrajectoryFile
from scripts.terminal_keys import names
from scripts.terminal_replay import Replay

RECIPE = SyntheticRecipe("dev", (1,), num_emails=100, num_questions=20)
HOSTILE = "\x1b]52;c;ZXZpbA==\x07\x1b[2J[bold]x[/bold]\u202e\x9b31m\x1b]0;t\x9c\u2066日本\r\x85y"
COMMAND = [sys.executable, "-c", "from scripts.cli import main; raise SystemExit(main())"]
# What the terminal may be told: colours, the other screen, the cursor hidden or home, and a line being redrawn.
OURS = re.compile(r"\x1b\[(?:[0-9;]*m|\?1049[hl]|\?25[hl]|H|2K|1A)")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A mailbox, its question file, and five episodes of it, with what was printed when they were played."""
    folder = tmp_path_factory.mktemp("replay")
    mailbox, questions = ensure_mailbox(RECIPE, folder)
    lines = (mailbox.with_suffix(".jsonl")).read_text().splitlines(keepends=True)[:5]
    (folder / "q.jsonl").write_text("".join(lines))
    episodes = folder / "episodes.jsonl"
    words = ["play", "--terminal", "--mailbox", str(mailbox), "--inbox", questions[0].inbox]
    words += ["--questions", str(folder / "q.jsonl"), "--policy", "keywords-retry", "--save", str(episodes)]
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return mailbox, folder / "q.jsonl", episodes, done.stdout


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """An episode in which every text is an attack."""
    call = ToolResultRecord(name=HOSTILE, arguments={HOSTILE: [HOSTILE]}, content=f"{HOSTILE}\n" * 30)
    found = ToolResultRecord(
        name="search_emails", arguments={"keywords": [HOSTILE, 5]}, content="2 found\n" + HOSTILE, listed=(HOSTILE,)
    )
    opened = ToolResultRecord(name="read_email", arguments={"id": HOSTILE}, content=HOSTILE, opened=(HOSTILE,))
    bad = ToolResultRecord(name="invalid_call", arguments=None, content=HOSTILE, is_error=True)
    turns = (Turn(text=HOSTILE, results=(call, found, opened, bad)), Turn(text=HOSTILE, results=()))
    path = tmp_path_factory.mktemp("hostile") / "hostile.jsonl"
    played = [
        Trajectory(
            question_id="q", inbox=HOSTILE, policy=HOSTILE, question=HOSTILE, opening="", turns=turns,
            stop_reason=reason, answer=HOSTILE, sources=(HOSTILE,), unknown_sources=(HOSTILE,), error=HOSTILE,
            reward=1.0, reward_parts={HOSTILE: 1.0},
        )
        for reason in StopReason
    ]  # fmt: skip
    write_trajectories(path, played)
    return path


def replay_of(path, mailbox=None):
    return Replay(TrajectoryFile(path), Record(mailbox, {}, "answer"))


def on_screen(words, keys=(), *, size=(80, 24), env=None):
    """Run a command on a terminal of its own, press keys one after the other; returns exit code and what it drew."""
    main_end, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    before = termios.tcgetattr(terminal)
    full = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "", "LINES": "", **(env or {})}
    ends = {"stdin": terminal, "stdout": terminal, "stderr": terminal}
    process = subprocess.Popen([*COMMAND, *words], env={k: v for k, v in full.items() if v}, **ends)
    drawn, waiting, end = b"", list(keys), time.monotonic() + 60
    while time.monotonic() < end:
        if select.select([main_end], [], [], 0.15)[0]:
            drawn += os.read(main_end, 65536)
        elif waiting and b"\x1b[?1049h" in drawn:
            os.write(main_end, waiting.pop(0).encode())
        elif process.poll() is not None:
            break
    assert termios.tcgetattr(terminal) == before, "the terminal is as it was"
    os.close(main_end)
    os.close(terminal)
    return process.wait(timeout=10), drawn.decode("utf-8", "replace")


def frames(drawn):
    return [
        re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", frame) for frame in drawn.split("\x1b[H")[2:]
    ]  # the screen's own first


def test_a_replay_in_a_pipe_says_what_the_live_episode_said(site, capsys):
    mailbox, questions, episodes, live = site
    assert main(["play", "--terminal", "--replay", str(episodes), "--mailbox", str(mailbox),
                 "--questions", str(questions)]) == 0  # fmt: skip
    said = capsys.readouterr().out
    assert said == live
    assert said.count("question  ") == said.count("reward    ") == 5
    assert "\x1b" not in said


def test_without_the_mailbox_the_record_is_shown_by_itself(site, capsys):
    episodes = site[2]
    assert main(["play", "--terminal", "--replay", str(episodes)]) == 0
    said = capsys.readouterr().out
    assert said.count("reward    ") == 5, "as it was recorded"
    assert "gold" not in said
    first = TrajectoryFile(episodes)[0]
    assert first.question in said
    assert all(line.strip() in said for line in first.turns[0].results[0].content.splitlines()[:3])


def test_one_question_can_be_chosen(site, capsys):
    mailbox, _, episodes, _ = site
    wanted = TrajectoryFile(episodes)[3]
    words = ["play", "--terminal", "--replay", str(episodes), "--mailbox", str(mailbox), "--inbox", wanted.inbox]
    assert main([*words, "--id", wanted.question_id]) == 0
    out = capsys.readouterr().out
    assert out.count("question  ") == 1
    assert wanted.question in out


def test_keys_step_through_the_episodes_of_a_file(site):
    mailbox, questions, episodes, _ = site
    words = ["play", "--terminal", "--replay", str(episodes), "--mailbox", str(mailbox), "--questions", str(questions)]
    keys = ["n", "\x1b[C", "p", "v", "N", "\x1b[D", "G", "x", "q"]
    code, drawn = on_screen(words, keys)
    assert code == 0
    places = [re.search(r"episode (\d) of 5, step (\d+) of (\d+)", frame) for frame in frames(drawn)]
    last = len(replay_of(episodes).steps)
    seen = [(int(place[1]), int(place[2])) for place in places]
    assert seen == [(1, 1), (1, 2), (1, 3), (1, 2), (1, 2), (2, 1), (1, last), (1, last), (1, last)]
    assert OURS.sub("", drawn).count("\x1b") == 0
    assert drawn.rindex("\x1b[?25h") < drawn.rindex("\x1b[?1049l")


def test_a_replay_that_is_stopped_gives_the_terminal_back_and_draws_anew_when_it_goes_on(site):
    main_end, terminal = pty.openpty()
    before = termios.tcgetattr(terminal)
    words = ["play", "--terminal", "--replay", str(site[2])]
    process = subprocess.Popen(  # in a group of its own: one that nobody could continue is never stopped
        [*COMMAND, *words], stdin=terminal, stdout=terminal, env={**os.environ, "TERM": "xterm"}, process_group=0
    )
    drawn = ""

    def wait(condition):
        nonlocal drawn
        end = time.monotonic() + 30
        while not condition() and time.monotonic() < end:
            if select.select([main_end], [], [], 0.05)[0]:
                drawn += os.read(main_end, 65536).decode("utf-8", "replace")
        assert condition(), drawn

    def is_stopped():
        return "State:\tT" in Path(f"/proc/{process.pid}/status").read_text()

    try:
        wait(lambda: "episode 1 of 5" in drawn)
        process.send_signal(signal.SIGTSTP)
        wait(lambda: is_stopped() and "\x1b[?1049l" in drawn)
        assert drawn.rindex("\x1b[?25h") < drawn.rindex("\x1b[?1049l")
        assert termios.tcgetattr(terminal) == before
        drawn = ""
        process.send_signal(signal.SIGCONT)
        wait(lambda: "\x1b[?1049h" in drawn and "episode 1 of 5" in drawn)
        os.write(main_end, b"q")
        wait(lambda: process.poll() == 0)
    finally:
        process.kill()
        process.wait()
        os.close(main_end)
        os.close(terminal)


ATTACKS = ("\x1b", "\x07", "\x9b", "\u202e", "\u2066", "\x85")


def test_f65_nothing_hostile_reaches_a_pipe(hostile, capsys):
    assert main(["play", "--terminal", "--replay", str(hostile)]) == 0
    shown = capsys.readouterr().out
    assert shown.count("question  ") == len(StopReason)
    assert "[bold]x[/bold]" in shown
    assert [attack for attack in ATTACKS if attack in shown] == []


def test_f65_nothing_hostile_reaches_a_narrow_terminal_without_colours(hostile):
    words = ["play", "--terminal", "--replay", str(hostile)]
    code, drawn = on_screen(words, ["n", "n", "v", "n", "N", "q"], size=(40, 12), env={"NO_COLOR": "1"})
    assert code == 0
    shown = OURS.sub("", drawn)
    assert "[bold]x[/bold]" in shown
    assert [attack for attack in ATTACKS if attack in shown] == []
    lines = [line for frame in frames(drawn)[:5] for line in frame.replace("\r", "").split("\n")]
    assert len(lines) == 5 * 12
    assert {cell_len(line) for line in lines} == {40}
    assert re.findall(r"\x1b\[[0-9;]*(?:3[0-7]|38|9[0-7])[0-9;]*m", drawn) == [], "no colour"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["n", "p", "left", "right", "N", "P", "g", "G", "up", "down", "page down", "v", "?"]),
                max_size=25), st.integers(8, 120), st.integers(2, 40))  # fmt: skip
def test_every_frame_fills_its_window_wherever_one_goes(hostile, keys, width, height):
    replay, console = replay_of(hostile), Console(file=io.StringIO(), width=width)
    for key in keys:
        assert replay.press(key)
        frame = replay.frame(console, width, height)
        assert len(frame) == height
        assert {line.cell_len for line in frame} == {width}
        assert 0 <= replay.episode < len(replay.episodes)
        assert 0 <= replay.step < len(replay.steps)


def test_forward_visits_every_step_of_every_episode_and_back_as_well(site):
    replay = replay_of(site[2])
    visited = [(0, 0)]
    while replay.press("right") and (replay.episode, replay.step) != visited[-1]:
        visited.append((replay.episode, replay.step))
    assert sorted({episode for episode, _ in visited}) == list(range(5))
    back = [visited[-1]]
    while replay.press("left") and (replay.episode, replay.step) != back[-1]:
        back.append((replay.episode, replay.step))
    assert back == visited[::-1]
    assert not any(replay.press(key) for key in ("q", "escape", "end of input"))


def test_a_long_step_scrolls_to_its_end_and_no_further(hostile):
    replay, console = replay_of(hostile), Console(file=io.StringIO(), width=60)
    replay.press("n")
    seen = set()
    for _ in range(100):
        seen |= {line.plain.strip() for line in replay.frame(console, 60, 12)}
        replay.press("down")
    assert replay.top < 100
    last = [line.plain for line in replay.frame(console, 60, 12)]
    assert "more lines" not in last[-1]
    replay.press("page up")
    assert "more lines" in replay.frame(console, 80, 12)[-1].plain or replay.top == 0
    assert any("no valid call" in line for line in seen)


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        ("n", ["n"]), ("\x1b[A\x1b[B", ["up", "down"]), ("\x1bOC\x1bOD", ["right", "left"]), ("\x1b[5~", ["page up"]),
        ("\x1b[1;5C", []), ("\x1b", ["escape"]), ("\x1bx", []), ("\x1b[200~", []), ("nnp", ["n", "n", "p"]),
        ("\r \x7f\x04", ["enter", "space", "backspace", "end of input"]), ("ü", ["ü"]),
        ("\x1b[H\x1b[4~", ["home", "end"]),
    ],
)  # fmt: skip
def test_keys_have_names(sent, keys):
    assert names(sent) == keys


@pytest.mark.parametrize("width", [20, 40, 79])
def test_a_live_episode_keeps_to_the_width_of_its_terminal(hostile, width):
    out = io.StringIO()
    view = EpisodeView(Console(file=out, force_terminal=True, width=width, color_system=None, markup=False))
    for event in replay_of(hostile).load(0):
        view.add(*event)
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in out.getvalue().splitlines()]
    assert max(map(len, lines)) <= width
    assert any("... " in line for line in lines), "a long result is cut"


@pytest.mark.parametrize(
    ("content", "options", "code", "shown"),
    [
        ("", [], 2, "no episode here"),
        ('{"question_id": 1}\n', [], 4, "this line is no episode"),
        ("\n\nnot json\n", [], 4, "bad.jsonl:3"),
        ("\xff\n", [], 4, "bad.jsonl:1"),
        ("", ["--question", "x"], 2, "asks nothing"),
    ],
)
def test_a_file_that_is_none_gets_one_line(tmp_path, capsys, content, options, code, shown):
    path = tmp_path / "bad.jsonl"
    path.write_bytes(content.encode("latin-1"))
    assert main(["play", "--terminal", "--replay", str(path), *options]) == code
    error = capsys.readouterr().err
    assert shown in error
    assert error.count("\n") == 1


def test_wrong_use_gets_one_line(site, tmp_path, capsys):
    episodes = str(site[2])
    assert main(["play", "--replay", episodes]) == 2
    assert "add --terminal" in capsys.readouterr().err
    for words in ([str(tmp_path / "none.jsonl")], [episodes, "--id", "nobody"], [str(tmp_path)]):
        assert main(["play", "--terminal", "--replay", *words]) == 2
        assert capsys.readouterr().err.count("\n") == 1
