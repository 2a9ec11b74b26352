"""Text to tokens, trusted or not: in untrusted text no special or added token is ever found.

Pieces are encoded one by one and joined, so a tokenizer's habit of beginning every text with a space is taken back.
Knows nothing of chat or tools.
"""

from __future__ import annotations

import re
from typing import Any

_SURROGATE = re.compile(r"[\ud800-\udfff]")
_ANCHOR = "\n"  # joins with nothing that follows it


class TextEncoder:
    """Encodes pieces of a conversation with one tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        added = tokenizer.added_tokens_decoder.items()
        self._added_texts = tuple(token.content for _, token in added)
        # Some tokenizers list line breaks and runs of spaces among them, which are what plain text is made of.
        controls = (token_id for token_id, token in added if not token.content.isspace())
        self._added_ids = frozenset(controls) - {tokenizer.unk_token_id}
        self._inside_added = _inside_added_tokens(tokenizer)
        self._anchor_ids = self._learn_anchor()

    def trusted(self, text: str) -> list[int]:
        """Return the ids of a template's own text; special and added tokens in it count."""
        if not text:
            return []
        if self._anchor_ids and not text.startswith(self._added_texts):
            return self._after_anchor(text, is_split=False)
        return self._encode(text, is_split=False)

    def plain(self, text: str) -> list[int]:
        """Return the ids of untrusted text: strings that look like special or added tokens stay plain text."""
        text = _SURROGATE.sub("\ufffd", text)
        ids = self._split(text)
        if self._added_ids.isdisjoint(ids):
            return ids
        # A normaliser made an added token out of other characters: one by one they cannot become any.
        return [token_id for char in text for token_id in self._split(char) if token_id not in self._added_ids]

    def _split(self, text: str) -> list[int]:
        pieces = self._inside_added.split(text) if self._inside_added else [text]
        encode = self._after_anchor if self._anchor_ids else self._encode
        return [token_id for piece in pieces for token_id in encode(piece, is_split=True)]

    def _encode(self, text: str, *, is_split: bool) -> list[int]:
        options = {"split_special_tokens": True} if is_split else {}
        return list(self._tokenizer(text, add_special_tokens=False, **options)["input_ids"])

    def _after_anchor(self, text: str, *, is_split: bool) -> list[int]:
        ids = self._encode(_ANCHOR + text, is_split=is_split)
        has_anchor = ids[: len(self._anchor_ids)] == self._anchor_ids
        return ids[len(self._anchor_ids) :] if has_anchor else self._encode(text, is_split=is_split)

    def _learn_anchor(self) -> list[int]:
        """Return the ids that stand for the anchor where the tokenizer begins every text with a space, else none."""
        first = self._tokenizer.convert_ids_to_tokens(self._encode("a", is_split=True))[:1]
        return self._encode(_ANCHOR, is_split=True) if first and first[0].startswith("\u2581") else []


def _inside_added_tokens(tokenizer: Any) -> re.Pattern[str] | None:
    """Return where to cut text so that no added token is found in it; special ones can be left out by an option."""
    added = tokenizer.added_tokens_decoder.values()
    texts = [token.content for token in added if not token.special and not token.content.isspace()]
    cuts = [f"(?<={re.escape(text[0])})(?={re.escape(text[1:])})" for text in texts if len(text) > 1]
    return re.compile("|".join(cuts)) if cuts else None
