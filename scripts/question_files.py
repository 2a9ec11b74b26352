"""Writing question files: whole or not at all, and what was rejected beside them.

Knows nothing of how questions are made.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from inbox_env.questions import Question, write_questions


def write_whole(path: Path, questions: Sequence[Question]) -> None:
    """Write a question file beside its place and move it there."""
    _replace(path, lambda partial: write_questions(partial, questions))


def write_rows(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write JSON objects, one a line, beside their place and move them there."""
    text = "".join(json.dumps(row, ensure_ascii=True) + "\n" for row in rows)
    _replace(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        write(partial)
        partial.replace(path)
    except OSError as error:  # of the file that was named, and not of one that nobody knows
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        partial.unlink(missing_ok=True)
