"""Nothing that a terminal would obey leaves `safe`."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.terminal import console, plural, safe, safe_line, size_text

ATTACKS = {
    "clipboard by OSC 52": ("a\x1b]52;c;ZXZpbA==\x07b", "ab"),
    "hyperlink by OSC 8": ("\x1b]8;;http://evil/\x1b\\click\x1b]8;;\x1b\\", "click"),
    "window title by OSC 0": ("\x1b]0;owned\x9cx", "x"),
    "clear screen": ("\x1b[2Jx", "x"),
    "report cursor": ("\x1b[6nx", "x"),
    "colours": ("\x1b[31mred\x1b[0m", "red"),
    "private mode": ("\x1b[?1049hx", "x"),
    "device control string": ('\x1bP$q"p\x1b\\x', "x"),
    "application command": ("\x1b_G payload\x1b\\x", "x"),
    "full reset": ("\x1bcx", "x"),
    "character set": ("\x1b(0x", "x"),
    "8-bit control sequence": ("\x9b2Jx", "x"),
    "8-bit operating system command": ("\x9d0;owned\x07x", "x"),
    "8-bit device control string": ("\x90payload\x9cx", "x"),
    "unterminated OSC hides nothing": ("\x1b]0;title\nthe rest", "]0;title\nthe rest"),
    "escape built from its parts": ("\x1b\x1b[0m[2Jx", "[2Jx"),
    "lone escape at the end": ("x\x1b", "x"),
    "bell, NUL and backspace": ("a\x07\x00\x08b\x7f", "ab"),
    "carriage return overwrites": ("pay me\rnothing", "pay me\nnothing"),
    "DOS line end": ("a\r\nb", "a\nb"),
    "bidi override": ("\u202egpj.exe\u2066x\u2069", "gpj.exex"),
    "invisible tag letters": ("a\U000e0041\U000e0042b", "ab"),
    "lone surrogate": ("a\udc80b", "a\ufffdb"),
    "plain text stays": (
        "Zürich\t100 % — 日本 [bold]x[/bold] :smile:\n",
        "Zürich\t100 % — 日本 [bold]x[/bold] :smile:\n",
    ),
}


@pytest.mark.parametrize(("attack", "shown"), ATTACKS.values(), ids=list(ATTACKS))
def test_f65_what_a_terminal_would_obey_is_removed(attack: str, shown: str) -> None:
    assert safe(attack) == shown


@given(st.text(alphabet=st.one_of(st.characters(codec=None), st.sampled_from("\x1b\x9b\x9d[]P;m\x07\\\r\u202e"))))
def test_f65_safe_text_is_a_fixed_point_that_encodes_and_holds_no_control(text: str) -> None:
    cleaned = safe(text)
    assert safe(cleaned) == cleaned
    cleaned.encode("utf-8")
    assert not any((ord(c) < 32 and c not in "\n\t") or 127 <= ord(c) < 160 for c in cleaned)


def test_a_line_stays_one_line_and_within_its_width() -> None:
    assert safe_line("a\r\n b\u2028c") == "a b c"
    assert safe_line("abcdef", 4) == "abc…"
    assert safe_line("abcd", 4) == "abcd"


def test_f65_the_console_interprets_no_markup() -> None:
    out = io.StringIO()
    console(out).print("[bold red]not bold[/bold red] :smile: 12")
    assert out.getvalue() == "[bold red]not bold[/bold red] :smile: 12\n"


def test_numbers_are_written_as_a_person_writes_them() -> None:
    assert [plural(count, "mail") for count in (0, 1, 2_000)] == ["0 mails", "1 mail", "2,000 mails"]
    assert plural(2, "inbox", "inboxes") == "2 inboxes"
    sizes = [size_text(num_bytes) for num_bytes in (0, 1, 999, 1_000, 34_567, 1_000_000, 2_345_678_901)]
    assert sizes == ["0 bytes", "1 byte", "999 bytes", "1.0 kB", "34.6 kB", "1.0 MB", "2,345.7 MB"]
