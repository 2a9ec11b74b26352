"""Mails that are published as tables, and that one mailbox is the same in every form."""

from __future__ import annotations

import csv
import json
import tarfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from inbox_env.errors import UsageError
from inbox_env.ingest.parse import parse_email
from tests.faults.bad_mail import folders, read

MAIL = b"From: a@x.org\nSubject: s\n\nbody\n"


def kaggle(path: Path, rows: list[tuple[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(("file", "message"))
        writer.writerows(rows)
    return path


def test_kaggles_table_gives_every_message_and_can_be_narrowed(tmp_path: Path) -> None:
    long = MAIL.decode() + 'he said "no",\n\n' * 20_000
    rows = [("lay-k/inbox/1.", long), ("lay-k/sent/2.", MAIL.decode()), ("lay-ka/inbox/3.", MAIL.decode())]
    path = kaggle(tmp_path / "emails.csv", rows)
    mails, rejects = read(path)
    assert rejects == []
    assert [(mail.raw.decode(), mail.folder) for mail in mails] == [
        (long, "lay-k/inbox"), (rows[1][1], "lay-k/sent"), (rows[2][1], "lay-ka/inbox")
    ]  # fmt: skip
    assert folders(f"{path}!lay-k") == [("inbox", ()), ("sent", ())]
    with zipfile.ZipFile(tmp_path / "archive.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, "emails.csv")
    assert len(read(tmp_path / "archive.zip")[0]) == 3


def test_rows_that_are_none_are_rejects(tmp_path: Path) -> None:
    path = kaggle(tmp_path / "emails.csv", [("a/b/1.", MAIL.decode()), ("a/b/2.", "")])
    with path.open("a", encoding="utf-8") as file:
        file.write('"a/b/3."\n"a/b/4.","cut off')
    mails, rejects = read(path)
    assert len(mails) == 1
    assert [reject.reason.split(":")[0] for reject in rejects] == [
        "a row without a mail", "row 3 has 1 columns, not 2", "row 4 cannot be read"
    ]  # fmt: skip


ROWS = [
    {
        "message_id": "<1.JavaMail.evans@thyme>", "subject": "Grüße — Q3", "from": "ann@x.org",
        "to": ["bob@y.org", "cy@z.org"], "cc": [""], "bcc": [], "date": datetime(2001, 5, 10, 12, 30),
        "body": "First line\n\nFrom here: 10 €\n.\n", "file_name": "maildir/lay-k/inbox/1.",
    },
    {
        "message_id": "2@x", "subject": None, "from": "Bo\nBcc: evil@x.org", "to": ["c@x.org"], "cc": ["d@x.org"],
        "bcc": ["e@x.org"], "date": None, "body": "two", "file_name": "skilling-j/sent/2.",
    },
]  # fmt: skip


def write_hub(folder: Path, form: str) -> Path:
    path = folder / f"train-00000-of-00001.{form}"
    if form == "parquet":
        pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pyarrow.Table.from_pylist(ROWS), path, row_group_size=1)
    elif form == "jsonl":
        text = "".join(json.dumps(row, default=lambda date: int(date.timestamp() * 1_000)) + "\n" for row in NAIVE_UTC)
        path.write_text(text)
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ROWS[0])
            writer.writeheader()
            writer.writerows(ROWS)
    return path


NAIVE_UTC = [{**row, "date": row["date"] and row["date"].replace(tzinfo=UTC)} for row in ROWS]  # type: ignore[attr-defined]


@pytest.mark.parametrize("form", ["parquet", "jsonl", "csv"])
def test_the_hub_datasets_columns_become_mails(tmp_path: Path, form: str) -> None:
    path = write_hub(tmp_path, form)
    mails, rejects = read(path)
    assert rejects == []
    first, second = (parse_email(mail.raw, folder=mail.folder) for mail in mails)
    assert (first.message_id, first.subject) == ("<1.JavaMail.evans@thyme>", "Grüße — Q3")
    assert first.sender.email == "ann@x.org"
    assert [address.email for address in first.to] == ["bob@y.org", "cy@z.org"]
    assert first.cc == first.bcc == ()
    assert first.date == datetime(2001, 5, 10, 12, 30, tzinfo=UTC)
    assert first.body == "First line\n\nFrom here: 10 €\n."
    assert first.folders == ("lay-k/inbox",)
    assert (second.message_id, second.subject, second.date) == ("<2@x>", "", None)
    assert [address.email for address in second.recipients] == ["c@x.org", "d@x.org", "e@x.org"]
    assert folders(f"{path}!lay-k") == [("inbox", ())]
    assert len(read(tmp_path)[0]) == 2


def test_a_line_that_is_no_row_is_a_reject_with_its_place(tmp_path: Path) -> None:
    path = write_hub(tmp_path, "jsonl")
    first = path.read_bytes().partition(b"\n")[0] + b"\n"
    path.write_bytes(first + b"[1]\n" + first[:40] + b"\n" + first)
    mails, rejects = read(path)
    assert len(mails) == 2
    assert [reject.offset for reject in rejects] == [len(first), len(first) + 4]


def test_a_damaged_parquet_file_is_a_reject_and_a_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_hub(tmp_path, "parquet")
    path.write_bytes(path.read_bytes()[:-30])
    assert [reject.reason.partition(" after")[0] for reject in read(path)[1]] == ["the table is damaged"]
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"pip install -e '\.\[hub\]'"):
        read(path)


@pytest.mark.parametrize("form", ["zip", "tar.gz", "emails.csv"])
def test_a_real_mailbox_is_the_same_from_every_published_form(shared_data: Path, tmp_path: Path, form: str) -> None:
    top = shared_data / "enron_maildir" / "phanis-s"
    expected = sorted((mail.folder, mail.raw) for mail in read(top)[0])
    files = sorted(path for path in top.rglob("*") if path.is_file())
    assert len(expected) == len(files) == 35
    path = tmp_path / f"packed.{form}"
    if form == "emails.csv":
        rows = [(f"phanis-s/{file.relative_to(top)}", file.read_bytes().decode("utf-8")) for file in files]
        kaggle(path, rows)
    elif form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in files:
                archive.write(file, Path("maildir/phanis-s") / file.relative_to(top))
    else:
        with tarfile.open(path, "w:gz") as tar:
            tar.add(top, "maildir/phanis-s")
    inside = "phanis-s" if form == "emails.csv" else "maildir/phanis-s"
    assert sorted((mail.folder, mail.raw) for mail in read(f"{path}!{inside}")[0]) == expected
