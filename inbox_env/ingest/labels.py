"""Gmail's labels as Takeout writes them: decoded, split, without those that only say whether a mail was read.

Labels are in the language of the account. Knows nothing of files.
"""

from __future__ import annotations

import re

from inbox_env.ingest.headers import decode_words

_LABEL = re.compile(r'[ \t]*(?:"((?:[^"\\]|\\.|"")*)"|([^,]*))[ \t]*(?:,|\Z)')
_READ_STATES = frozenset(
    (
        *("opened", "unread", "read"),
        *("ouvert", "ouverts", "non lu", "non lus"),  # French
        *("geöffnet", "ungelesen"),  # German
        *("abierto", "abiertos", "no leído", "no leídos", "sin leer"),  # Spanish
        *("aperto", "aperti", "aperta", "da leggere", "non letto", "non letti"),  # Italian
        *("aberto", "aberta", "abertos", "não lida", "não lidas", "não lido", "não lidos"),  # Portuguese
        *("geopend", "ongelezen"),  # Dutch
        *("öppnat", "öppnade", "olästa", "oläst", "åbnet", "ulæst", "ulæste", "åpnet", "ulest", "uleste"),
        *("avattu", "lukematta", "lukemattomat"),  # Finnish
        *("otwarte", "nieprzeczytane", "otevřeno", "otevřené", "nepřečtené"),  # Polish, Czech
        *("открыто", "открытые", "непрочитанные", "відкрито", "непрочитані"),  # Russian, Ukrainian
        *("açıldı", "okunmamış", "okunmadı"),  # Turkish
        *("開封済み", "未読", "열림", "읽지않음", "읽지 않음", "已打开", "未读", "已開啟", "未讀"),
    )
)
_IMPORTANT = frozenset(  # a guess of Gmail's, on most mails
    (
        *("important", "importants", "wichtig", "importante", "importantes", "importanti", "belangrijk", "viktigt"),
        *("vigtigt", "viktig", "tärkeät", "tärkeä", "ważne", "důležité", "важное", "важливо", "önemli"),
        *("重要", "중요", "重要邮件", "重要郵件"),
    )
)
_NOT_SHOWN = _READ_STATES | _IMPORTANT
_SPAM = frozenset(
    (
        *("spam", "junk", "courrier indésirable", "correo no deseado", "skräppost", "søppelpost", "roskaposti"),
        *("спам", "迷惑メール", "스팸", "스팸함", "垃圾邮件", "垃圾郵件"),
    )
)
_TRASH = frozenset(
    (
        *("trash", "bin", "corbeille", "papierkorb", "papelera", "cestino", "lixeira", "lixo", "reciclagem"),
        *("prullenbak", "papperskorgen", "papirkurv", "papirkurven", "roskakori", "kosz", "koš", "kôš", "kuka"),
        *("coș de gunoi", "корзина", "кошик", "çöp kutusu", "çöp", "ゴミ箱", "휴지통", "已删除邮件", "垃圾桶"),
    )
)


def gmail_labels(header_value: str) -> tuple[str, ...]:
    """Return the labels in an X-Gmail-Labels value as people see them; read, unread and important are left out."""
    return tuple(label for label in all_labels(header_value) if label.casefold() not in _NOT_SHOWN)


def all_labels(header_value: str) -> tuple[str, ...]:
    """Return every label in the value, which may be folded and encoded; a quoted label may contain commas."""
    if not header_value:
        return ()
    text = decode_words(header_value)
    labels = (re.sub(r'\\(.)|"(")', r"\1\2", quoted) if quoted else plain for quoted, plain in _LABEL.findall(text))
    return tuple(dict.fromkeys(label for label in map(str.strip, labels) if label))


def spam_or_trash(labels: tuple[str, ...]) -> str:
    """Return "Spam" or "Trash" for a mail that lies there, in any of the languages known here, else ""."""
    names = {label.casefold() for label in labels}
    return "Spam" if names & _SPAM else "Trash" if names & _TRASH else ""
