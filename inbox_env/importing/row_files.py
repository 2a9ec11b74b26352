"""Where the rows of an import lie, and how statements reach them: whichever file has a mail's text.

Light to import, for a helper process. Knows nothing of how rows are made or merged.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

CONTROL_NAME = "control.db"
MERGED_NAME = "merged.db"
GAINED_NAME = "gained.db"


def row_file(folder: Path, number: int) -> Path:
    """Return the path of one reading process's rows."""
    return folder / f"rows-{number}.db"


def row_files(folder: Path) -> list[Path]:
    """Return the paths of the row files there are, by number; there are no gaps."""
    paths: list[Path] = []
    while (path := row_file(folder, len(paths))).exists():
        paths.append(path)
    return paths


def attach(connection: sqlite3.Connection, folder: Path, *names: str) -> int:
    """Attach files of the folder under their names, and the files of rows as `rows0`, `rows1` ..; return how many."""
    for name in names:
        connection.execute(f"ATTACH DATABASE ? AS {name.removesuffix('.db')}", (str(folder / name),))
    paths = row_files(folder)
    for number, path in enumerate(paths):
        connection.execute(f"ATTACH DATABASE ? AS rows{number}", (str(path),))
    return len(paths)


def text_joins(num_files: int) -> str:
    """Return the joins that put the texts of every mail beside its row in `ranks`, from whichever file has them."""
    return " ".join(
        f"LEFT JOIN rows{file}.texts AS text{file} ON ranks.file = {file} AND text{file}.seq = ranks.seq"
        for file in range(num_files)
    )


def text_choice(num_files: int, expression: str) -> str:
    """Return an expression over the columns of `texts`, such as "body", taken from the file that has the row.

    Columns are written as {t}.column when the expression is more than a column's name.
    """
    pattern = expression if "{t}" in expression else f"{{t}}.{expression}"
    cases = " ".join(f"WHEN {file} THEN {pattern.format(t=f'text{file}')}" for file in range(num_files))
    return f"CASE ranks.file {cases} END"
