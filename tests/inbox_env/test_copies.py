"""Which mails are folded as copies of one, and which are kept apart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from itertools import permutations
from pathlib import Path

import pytest

from inbox_env.importing.import_mail import import_mail
from inbox_env.store import EmailStore

START = datetime(2024, 5, 1, 9, tzinfo=UTC)


def write(folder: Path, name: str, hours: float | None, to: str = "ann@example.org") -> Path:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "robot@example.org", to, "Backup finished"
    mail["Message-ID"] = f"<{name}@example.org>"
    if hours is not None:
        mail["Date"] = format_datetime(START + timedelta(hours=hours))
    mail.set_content("All is well.")
    path = folder / f"{name}.eml"
    path.write_bytes(bytes(mail))
    return path


def stored(mailbox: Path) -> list[tuple[datetime | None, int]]:
    store = EmailStore.open(mailbox)
    try:
        return sorted((one.email.date, len(one.email.aliases)) for one in store.emails("me"))
    finally:
        store.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_report_of_every_day_is_a_mail_of_every_day(tmp_path: Path, workers: int) -> None:
    paths = [write(tmp_path, f"{day}-{copy}", 24 * day + copy) for copy in (0, 7) for day in range(5)]
    summary = import_mail(paths, tmp_path / "my.db", "me", num_workers=workers)
    assert (summary.imported, summary.duplicates) == (5, 5)
    assert stored(tmp_path / "my.db") == [(START + timedelta(days=day), 1) for day in range(5)]


def test_the_order_in_which_copies_come_changes_nothing_but_which_is_kept(tmp_path: Path) -> None:
    paths = [write(tmp_path, str(hours), hours) for hours in (0, 5, 9, 40)]
    for number, order in enumerate(permutations(paths)):
        summary = import_mail(order, tmp_path / f"{number}.db", "me")
        assert (summary.imported, summary.duplicates) == (2, 2)
        assert [aliases for _, aliases in stored(tmp_path / f"{number}.db")] == [2, 0]


def test_mails_that_come_later_fold_as_if_they_had_come_at_once(tmp_path: Path) -> None:
    paths = [write(tmp_path, str(hours), hours) for hours in (0, 24, 25, 48)]
    counts = [import_mail([path], tmp_path / "my.db", "me").imported for path in paths]
    assert counts == [1, 1, 0, 1]
    assert import_mail(paths, tmp_path / "my.db", "me").imported == 0


def test_an_undated_copy_is_a_copy(tmp_path: Path) -> None:
    paths = [write(tmp_path, "undated", None), write(tmp_path, "dated", 3)]
    assert import_mail(paths, tmp_path / "my.db", "me").imported == 1


def test_one_text_to_two_people_is_two_mails(tmp_path: Path) -> None:
    paths = [write(tmp_path, name, 0, to=f"{name}@example.org") for name in ("ann", "bob")]
    assert import_mail(paths, tmp_path / "my.db", "me").imported == 2
