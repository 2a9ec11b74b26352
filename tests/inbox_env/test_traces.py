"""Pieces of text are found wherever they lie in files and texts, and nothing else is."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from inbox_env.upkeep import traces
from inbox_env.upkeep.traces import PIECE_BYTES, found_in_files, found_in_texts


@pytest.mark.parametrize("chunk", [40, 1_000, 1 << 22])
def test_every_piece_is_found_at_every_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(traces, "_CHUNK_BYTES", chunk)
    monkeypatch.setattr(traces, "_BATCH", 50)
    data = Random(1).randbytes(3_001)
    (tmp_path / "a").write_bytes(data)
    everywhere = {data[start : start + PIECE_BYTES] for start in range(len(data) - PIECE_BYTES + 1)}
    absent = {piece[:-1] + bytes([piece[-1] ^ 1]) for piece in everywhere}
    assert found_in_files(everywhere | absent, [tmp_path / "gone", tmp_path / "a"]) == everywhere
    assert found_in_texts(everywhere | absent, [data[:1_500], data]) == everywhere


def test_a_piece_does_not_reach_from_one_text_into_the_next() -> None:
    assert found_in_texts({b"0123456789abcdef"}, [b"01234567", b"89abcdef"]) == set()
