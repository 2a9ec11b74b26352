"""Gmail's labels, and what they leave out."""

from __future__ import annotations

import base64
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbox_env.ingest.flags import apple_labels, imap_labels, maildir_labels, mh_labels
from inbox_env.ingest.labels import all_labels, gmail_labels, spam_or_trash
from inbox_env.ingest.left_out import reason_left_out
from inbox_env.ingest.records import RawMail
from inbox_env.ingest.sources import find_source, read_source

LINE = b"From 1718395824376789@xxx Sat Nov 22 00:12:45 +0000 2014\r\n"
GERMAN = base64.b64encode("Posteingang,Geöffnet,Café".encode()).decode()
FRENCH = (
    "=?UTF-8?Q?Messages_archiv=C3=A9s,Ouvert,Cat=C3=A9gorie=C2=A0:_E-mails_?=\r\n"
    ' =?UTF-8?Q?personnels,"Culture,_associations,_=C3=A9v=C3=A9nements"?='
)


@pytest.mark.parametrize(
    ("value", "labels"),
    [
        ("Inbox,Important,Opened,Category Promotions,Work/Clients", ("Inbox", "Category Promotions", "Work/Clients")),
        (FRENCH, ("Messages archivés", "Catégorie : E-mails personnels", "Culture, associations, événements")),
        ("=?UTF-8?Q?Bo=C3=AEte_de_r=C3=A9ception,Non_lus?=", ("Boîte de réception",)),
        ("Inbox,=?UTF-8?Q?Kunden/=C3=9Cbung?=,Opened", ("Inbox", "Kunden/Übung")),
        (
            "=?UTF-8?B?" + base64.b64encode("Posteingang,Geöffnet,Café".encode()).decode() + "?=",
            ("Posteingang", "Café"),
        ),
        ('Inbox, "Project, A" ,"say ""hi""","a \\"b\\""', ("Inbox", "Project, A", 'say "hi"', 'a "b"')),
        ("Recibidos,Abiertos,Importantes,Sin leer", ("Recibidos",)),
        ("Inbox,,Inbox,\r\n\tSent", ("Inbox", "Sent")),
        ('"unclosed, Inbox', ('"unclosed', "Inbox")),
        ("", ()),
    ],
)
def test_labels_are_decoded_and_those_of_reading_left_out(value: str, labels: tuple[str, ...]) -> None:
    assert gmail_labels(value) == labels


@given(st.lists(st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=12), max_size=6))
def test_quoted_labels_come_back_whatever_they_are(labels: list[str]) -> None:
    unique = tuple(dict.fromkeys(label for label in labels if "=?" not in label))
    value = ",".join('"' + label.replace("\\", "\\\\").replace('"', '\\"') + '"' for label in unique)
    assert all_labels(value) == unique


@given(st.text(max_size=200))
def test_no_value_raises(value: str) -> None:
    assert isinstance(gmail_labels(value), tuple)


@pytest.mark.parametrize(
    "label",
    [
        *("Spam", "Trash", "Bin", "Corbeille", "Papierkorb", "Lixeira", "迷惑メール", "Корзина"),
        *("Thùng rác", "Thùng Rác", unicodedata.normalize("NFD", "Thùng rác"), "Thư rác", "אשפה", "דואר זבל", "ספאם"),
        *("المهملات", "مهـملات", "الرسائل غير المرغوب فيها", "\u200fהאשפה", "هرزنامه", "زباله\u200cدان"),
        *("Κάδος απορριμμάτων", "Ανεπιθύμητα", "ถังขยะ", "จดหมายขยะ", "ट्रैश करें", "स्पैम", "Кошче", "Отпад"),
        *("Tong Sampah", "Šiukšliadėžė", "Rämpspost", "Smetnjak", "Coş de gunoi", "Correu brossa", "Mēstules"),
    ],
)
def test_spam_and_trash_are_known_in_many_languages(label: str) -> None:
    assert spam_or_trash(("Archived", label))
    assert not spam_or_trash(("Archived", f"{label} 2019"))


def test_only_the_mails_own_header_leaves_it_out() -> None:
    header = b"From: a@x.org\r\nX-Gmail-Labels: Spam,Unread\r\nSubject: s\r\n"
    assert reason_left_out(header + b"\r\nbody") == "Gmail Spam"
    assert reason_left_out(b"From: a@x.org\r\n\r\nX-Gmail-Labels: Spam\r\n") == ""
    assert reason_left_out(b"From: a@x.org\nX-Gmail-Labels: Inbox,\n =?UTF-8?Q?Papierkorb?=\n\nx") == "Gmail Trash"
    assert reason_left_out(b"X-Mozilla-Status: 0009\nFrom: a@x.org\n\nx") == "deleted in Thunderbird"
    assert reason_left_out(b"X-Mozilla-Status: 0001\nFrom: a@x.org\n\nx") == ""


def test_a_folder_called_trash_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "Trash.mbox").write_bytes(LINE + b"From: a@x.org\r\n\r\nbody\r\n")
    assert [type(item) for item in read_source(find_source(tmp_path))] == [RawMail]


def test_flags_of_mail_programs_are_labels() -> None:
    assert maildir_labels("1.x:2,DFPRST") == ("Drafts", "Flagged", "Forwarded", "Replied", "Trash")
    assert maildir_labels("1.x;2,F") == maildir_labels("1.x!2,F") == ("Flagged",)
    assert maildir_labels("1.x:1,F") == maildir_labels("1.x") == ()
    assert imap_labels(("\\Seen", "\\ANSWERED", "Junk")) == ("Replied",)
    assert apple_labels(1 << 4 | 1 << 2 | 1) == ("Replied", "Flagged")
    assert mh_labels("flagged: 1-3 7\nreplied: 2\nunseen: 9\nflagged: x") == {
        "1": ("Flagged",), "2": ("Flagged", "Replied"), "3": ("Flagged",), "7": ("Flagged",)
    }  # fmt: skip
