"""How text becomes words: one folding for every index, so that all backends match the same mails.

Case, accents and width are folded ("Straße" and "STRASSE", "ﬁne" and "fine", full-width and plain letters are the
same; so are I and İ, but the Turkish dotless ı is a letter of its own). A word is a run of letters and digits; each
Han or kana character is a word of its own. Private-use characters never survive: the indexes keep them for their
own marks.
"""

from __future__ import annotations

import re
import unicodedata

from inbox_env.emails import Address, Email

FROM_MARK = "\ue000"
TO_MARK = "\ue001"
_PRIVATE = re.compile("[\x00\ue000-\uf8ff\U000f0000-\U0010ffff\ud800-\udfff]")
_ACCENTS = re.compile("[\u0300-\u036f]+")
_CJK = re.compile("([\u3005-\u3007\u3041-\u30ff\u3400-\u9fff\U00020000-\U0003ffff])")
_WORD = re.compile(r"[^\W_]+")
_NO_WORD = re.compile(r"[\W_]+")


def fold(text: str) -> str:
    """Return `text` folded; ASCII text only in case, which is all that it needs."""
    if text.isascii():
        return text.lower().replace("\x00", " ")
    plain = unicodedata.normalize("NFKD", _PRIVATE.sub(" ", text)).casefold()
    plain = unicodedata.normalize("NFKD", plain)  # casefold may have composed anew
    return _CJK.sub(r" \1 ", _ACCENTS.sub("", plain))


def words(text: str) -> list[str]:
    """Return the folded words of `text` in order."""
    return _WORD.findall(fold(text))


def is_cjk(character: str) -> bool:
    """Return whether a character is a word of its own."""
    return not character.isascii() and _CJK.match(character) is not None


def indexed_fields(email: Email) -> tuple[str, str, str]:
    """Return what is indexed of an email: subject, people (names, addresses and their marks) and body.

    The text of attachments counts as the body's. What is not ASCII is left as words and spaces only, so that no
    tokeniser needs to know which characters are letters.
    """
    people = _spaced(" ".join(f"{person.name} {person.email}" for person in (email.sender, *email.recipients)))
    marks = _marks(FROM_MARK, email.sender)
    for person in email.recipients:
        marks += _marks(TO_MARK, person)
    attached = [attachment.text for attachment in email.attachments if attachment.text]
    body = "\n\n".join((email.body, *attached)) if attached else email.body
    return _spaced(email.subject), " ".join((people, *marks)), _spaced(body)


def person_marks(mark: str, who: str) -> list[str]:
    """Return the tokens that find a person in a row: one for a whole address, else one for each word of a name."""
    return [_address_mark(mark, who)] if "@" in who.strip("@ ") else _name_marks(mark, who)


def _spaced(text: str) -> str:
    folded = fold(text)
    return folded if folded.isascii() else _NO_WORD.sub(" ", folded)


def _marks(mark: str, address: Address) -> list[str]:
    # the whole address stands before each group of words, so that no phrase runs on into the next
    whole = _address_mark(mark, address.email)
    return [whole, *_name_marks(mark, address.name), whole, *_name_marks(mark, address.email)]


def _address_mark(mark: str, address: str) -> str:
    # hex, so that no tokeniser splits it; two marks, so that no word is taken for it
    return mark + mark + address.strip().lower().encode("utf-8", "replace").hex()


def _name_marks(mark: str, name: str) -> list[str]:
    return [mark + word for word in words(name)]
