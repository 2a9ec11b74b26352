"""Gmail's labels as Takeout writes them: decoded, split, without those that only say whether a mail was read.

Labels are in the language of the account. Knows nothing of files.
"""

from __future__ import annotations

import re
import unicodedata

from inbox_env.ingest.headers import decode_words

_LABEL = re.compile(r'[ \t]*(?:"((?:[^"\\]|\\.|"")*)"|([^,]*))[ \t]*(?:,|\Z)')
_INVISIBLE = dict.fromkeys(map(ord, "\u0640\u200b\u200c\u200d\u200e\u200f\u061c"))  # what stretches, joins, directs


def _folded(label: str) -> str:
    """The label as it is compared: its letters alone tell, however they are composed."""
    return unicodedata.normalize("NFC", label.translate(_INVISIBLE)).casefold()


_READ_STATES = frozenset(
    _folded(label)
    for label in (
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
        *("chưa đọc", "olvasatlan", "necitite", "belum dibaca", "μη αναγνωσμένα"),
        *("開封済み", "未読", "열림", "읽지않음", "읽지 않음", "已打开", "未读", "已開啟", "未讀"),
    )
)
_IMPORTANT = frozenset(  # a guess of Gmail's, on most mails
    _folded(label)
    for label in (
        *("important", "importants", "wichtig", "importante", "importantes", "importanti", "belangrijk", "viktigt"),
        *("vigtigt", "viktig", "tärkeät", "tärkeä", "ważne", "důležité", "важное", "важливо", "önemli"),
        *("quan trọng", "fontos", "penting", "dôležité", "važno", "pomembno", "важно", "важни", "σημαντικά"),
        *("oluline", "svarīgi", "importants", "חשוב", "مهم", "สำคัญ", "महत्वपूर्ण"),
        *("重要", "중요", "重要邮件", "重要郵件"),
    )
)
_NOT_SHOWN = _READ_STATES | _IMPORTANT
_SPAM = frozenset(
    _folded(label)
    for label in (
        *("spam", "junk", "courrier indésirable", "correo no deseado", "skräppost", "søppelpost", "roskaposti"),
        *("thư rác", "rämpspost", "mēstules", "šlamštas", "ruslpóstur", "neželjena pošta", "vsiljena pošta"),
        *("correu brossa", "barua taka", "спам", "непожељно", "непожељна пошта", "ανεπιθύμητα"),
        *("ανεπιθύμητη αλληλογραφία", "ספאם", "דואר זבל", "الرسائل غير المرغوب فيها", "رسائل غير مرغوب فيها"),
        *("غير مرغوب فيها", "البريد غير المرغوب فيه", "بريد غير مرغوب فيه", "البريد العشوائي"),
        *("بريد عشوائي", "هرزنامه"),
        *("स्पैम", "स्पॅम", "স্প্যাম", "จดหมายขยะ", "สแปม"),
        *("迷惑メール", "스팸", "스팸함", "垃圾邮件", "垃圾郵件"),
    )
)
_TRASH = frozenset(
    _folded(label)
    for label in (
        *("trash", "bin", "corbeille", "papierkorb", "papelera", "cestino", "lixeira", "lixo", "reciclagem"),
        *("prullenbak", "papperskorgen", "papirkurv", "papirkurven", "roskakori", "kosz", "koš", "kôš", "kuka"),
        *("coș de gunoi", "coş de gunoi", "thùng rác", "tong sampah", "sampah", "paperera", "prügikast", "basurahan"),
        *("otpad", "smeće", "smetnjak", "rusl", "miskaste", "šiukšliadėžė", "zakarrontzia", "tupio"),
        *("корзина", "кошик", "кошче", "отпад", "çöp kutusu", "çöp", "κάδος απορριμμάτων", "κάδος"),
        *("אשפה", "האשפה", "المهملات", "مهملات", "سلة المهملات", "زبالهدان", "ट्रैश", "ट्रैश करें", "ট্র্যাশ", "ถังขยะ"),
        *("ゴミ箱", "휴지통", "已删除邮件", "已刪除郵件", "垃圾桶", "垃圾箱"),
    )
)


def gmail_labels(header_value: str) -> tuple[str, ...]:
    """Return the labels in an X-Gmail-Labels value as people see them; read, unread and important are left out."""
    return tuple(label for label in all_labels(header_value) if _folded(label) not in _NOT_SHOWN)


def all_labels(header_value: str) -> tuple[str, ...]:
    """Return every label in the value, which may be folded and encoded; a quoted label may contain commas."""
    if not header_value:
        return ()
    text = decode_words(header_value)
    labels = (re.sub(r'\\(.)|"(")', r"\1\2", quoted) if quoted else plain for quoted, plain in _LABEL.findall(text))
    return tuple(dict.fromkeys(label for label in map(str.strip, labels) if label))


def spam_or_trash(labels: tuple[str, ...]) -> str:
    """Return "Spam" or "Trash" for a mail that lies there, in any of the languages known here, else ""."""
    names = set(map(_folded, labels))
    return "Spam" if names & _SPAM else "Trash" if names & _TRASH else ""
