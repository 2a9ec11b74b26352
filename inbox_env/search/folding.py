"""How text becomes words: one folding for every index, so that all backends match the same mails.

Case, accents and width are folded ("Straße" and "STRASSE", "ﬁne" and "fine", full-width and plain letters are the
same; so are I and İ, but the Turkish dotless ı is a letter of its own). A word is a run of letters and digits; each
Han or kana character and each Hangul syllable is a word of its own. Private-use characters never survive: the indexes
keep them for their own marks.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from inbox_env.emails import Address, Email

FROM_MARK = "\ue000"
TO_MARK = "\ue001"
_PRIVATE = re.compile("[\x00\ue000-\uf8ff\U000f0000-\U0010ffff\ud800-\udfff]")
_ACCENTS = re.compile("[\u0300-\u036f]+")
_CJK = re.compile("([\u3005-\u3007\u3041-\u30ff\u3400-\u9fff\uac00-\ud7a3\U00020000-\U0003ffff])")
_JAMO = re.compile("[\u1100-\u11ff]{2,}")  # what NFKD makes of Hangul syllables
_MAX_MARKS = 30  # that one letter carries: more than any script, and what Unicode's stream-safe text allows
_MAYBE_MARKS = re.compile(r"[^\w\s\x00-\u02ff]{31,}")
_KANA_MARKS = "\uff9e\uff9f"  # letters that become marks
_MAYBE_KANA_MARKS = re.compile(rf"(?:[^\w\s\x00-\u02ff]|[{_KANA_MARKS}]){{31,}}")
_WORD = re.compile(r"[^\W_]+")
_NO_WORD = re.compile(r"[\W_]+")
_MAX_REMEMBERED_CHARS = 300


def fold(text: str) -> str:
    """Return `text` folded; ASCII text only in case, which is all that it needs."""
    if text.isascii():
        return text.lower().replace("\x00", " ")
    plain = unicodedata.normalize("NFKD", stream_safe(_PRIVATE.sub(" ", text))).casefold()
    plain = unicodedata.normalize("NFKD", stream_safe(plain))  # casefold may have composed anew
    plain = _JAMO.sub(lambda jamo: unicodedata.normalize("NFC", jamo[0]), _ACCENTS.sub("", plain))
    return _CJK.sub(r" \1 ", plain)


def stream_safe(text: str) -> str:
    """Return `text` without the combining marks beyond 30 in a row: normalising is quadratic in their number."""
    if text.isascii():
        return text
    has_kana_marks = any(mark in text for mark in _KANA_MARKS)
    return (_MAYBE_KANA_MARKS if has_kana_marks else _MAYBE_MARKS).sub(_with_few_marks, text)


def words(text: str) -> list[str]:
    """Return the folded words of `text` in order."""
    return _WORD.findall(fold(text))


def is_cjk(character: str) -> bool:
    """Return whether a character is a word of its own."""
    return not character.isascii() and _CJK.match(character) is not None


def indexed_fields(email: Email) -> tuple[str, str, str]:
    """Return what is indexed of an email: subject, people (names, addresses and their marks) and body.

    The names and the text of attachments count as the body's. What is not ASCII is left as words and spaces only, so
    that no tokeniser needs to know which characters are letters.
    """
    people = _spaced(" ".join(f"{person.name} {person.email}" for person in (email.sender, *email.recipients)))
    marks = [_marks(FROM_MARK, email.sender), *(_marks(TO_MARK, person) for person in email.recipients)]
    attached = [text for item in email.attachments for text in (item.name, item.text) if text]
    body = "\n\n".join((email.body, *attached)) if attached else email.body
    return _spaced(email.subject), " ".join((people, *marks)), _spaced(body)


def person_marks(mark: str, who: str) -> list[str]:
    """Return the tokens that find a person in a row: one for a whole address, else one for each word of a name."""
    return [_address_mark(mark, who)] if "@" in who.strip("@ ") else _name_marks(mark, who)


def _with_few_marks(run: re.Match[str]) -> str:
    marks = {char for char in set(run[0]) if char in _KANA_MARKS or unicodedata.category(char).startswith("M")}
    if not marks:  # a line of dashes
        return run[0]
    kept, num_marks = [], 0
    for char in run[0]:
        num_marks = num_marks + 1 if char in marks else 0
        if num_marks <= _MAX_MARKS:
            kept.append(char)
    return "".join(kept)


def _spaced(text: str) -> str:
    folded = fold(text)
    return folded if folded.isascii() else _NO_WORD.sub(" ", folded)


def _marks(mark: str, address: Address) -> str:
    is_short = len(address.name) + len(address.email) <= _MAX_REMEMBERED_CHARS
    return _remembered_marks(mark, address) if is_short else _made_marks(mark, address)


@lru_cache(maxsize=8_192)  # the same few people write and are written to in an inbox
def _remembered_marks(mark: str, address: Address) -> str:
    return _made_marks(mark, address)


def _made_marks(mark: str, address: Address) -> str:
    # the whole address stands before each group of words, so that no phrase runs on into the next
    whole = _address_mark(mark, address.email)
    return " ".join((whole, *_name_marks(mark, address.name), whole, *_name_marks(mark, address.email)))


def _address_mark(mark: str, address: str) -> str:
    # hex, so that no tokeniser splits it; two marks, so that no word is taken for it
    return mark + mark + address.strip().lower().encode("utf-8", "replace").hex()


def _name_marks(mark: str, name: str) -> list[str]:
    return [mark + word for word in words(name)]
