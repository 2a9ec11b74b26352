"""Subjects without what replies and forwards put before them, in the languages of the usual mail programs.

Pure. Knows nothing of threads or mails.
"""

from __future__ import annotations

import re

_MAX_PREFIXES = 50
_WORDS = (
    # reply: en, de, nl, sv/da/no, fi, pl, cs, it, el, tr, hu, id, pt, es, fr, vi, zh, ro, is, et
    *("re", "aw", "antw", "sv", "vs", "odp", "odpověď", "r", "rif", "απ", "σχετ", "ynt", "yanıt", "vá", "bls", "res"),
    *(
        "réf",
        "ref",
        "rép",
        "rif",
        "trả lời",
        "回复",
        "回覆",
        "答复",
        "答覆",
        "svar",
        "vastaus",
        "odg",
        "att",
        "ответ",
        "на",
    ),
    # forward
    *(
        "fw",
        "fwd",
        "wg",
        "doorst",
        "vb",
        "vl",
        "tr",
        "rv",
        "i",
        "i̇lt",
        "ilt",
        "πρθ",
        "továbbítás",
        "enc",
        "pd",
        "przek",
    ),
    *(
        "fs",
        "rvs",
        "转发",
        "轉寄",
        "转寄",
        "forward",
        "vidarebefordrat",
        "пересл",
        "hal",
        "trs",
        "reenv",
        "doorgestuurd",
    ),
)
_PREFIX = re.compile(
    rf"\s*(?:(?:{'|'.join(sorted(map(re.escape, dict.fromkeys(_WORDS)), key=len, reverse=True))})"
    r"(?:\s?[\[(\^*]?\d{1,3}[\])]?)?\s?[:：]|\[(?:fwd|fw):)\s*",
    re.IGNORECASE,
)
_LIST_TAG = re.compile(r"\s*\[[^\[\]]{1,40}\]\s*")
_TAIL = re.compile(r"\s*(?:\(fwd\)|\(fw\))\s*\Z", re.IGNORECASE)


def base_subject(subject: str) -> tuple[str, bool]:
    """Return the subject without prefixes, mailing-list tags and space, case folded, and whether it had a prefix."""
    is_reply, position = False, 0
    for _ in range(_MAX_PREFIXES):
        prefix = _PREFIX.match(subject, position)
        if prefix is not None:
            is_reply, position = True, prefix.end()
            continue
        tag = _LIST_TAG.match(subject, position)
        if tag is None or tag.end() == len(subject):
            break
        position = tag.end()
    base = subject[position:]
    tail = _TAIL.search(base) if ")" in base[-8:] else None
    if tail is not None:
        is_reply, base = True, base[: tail.start()]
    return " ".join(base.casefold().split()), is_reply
