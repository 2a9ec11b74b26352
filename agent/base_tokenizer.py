"""The laptop model's tokenizer: a small byte-level BPE whose calls and turns are single tokens.

It is trained on names that no inbox uses, so that names of every split are cut into syllables alike: a model
that copies training names then copies held-out names. Knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

# Same cut as GPT-4's family: words keep one leading space, numbers are cut into groups of at most three digits.
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
END, PAD = "<|end|>", "<|pad|>"
ROLES = ("<|system|>", "<|user|>", "<|assistant|>", "<|tool|>")
# Call syntax as whole tokens: an episode of ten calls costs a hundred sampled tokens less.
CALL_GLUE = (
    '<tool_call>\n{"name": "search_emails", "arguments": {"keywords": ["',
    '", "',
    '"]}}\n</tool_call>',
    '<tool_call>\n{"name": "read_email", "arguments": {"id": ',
    "}}\n</tool_call>",
    '<tool_call>\n{"name": "return_final_answer", "arguments": {"answer": "',
    '", "sources": [',
    "]}}\n</tool_call>",
    'null, "sources": []}}\n</tool_call>',
    '<tool_call>\n{"name": "return_final_answer", "arguments": {"answer": ',
)
CHAT_TEMPLATE = (
    "{%- for message in messages -%}<|{{ message.role }}|>{{ message.content }}"
    "{%- if message.role == 'assistant' -%}<|end|>{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}"
)


def train_tokenizer(texts: Iterable[str], vocab_size: int = 4096) -> Any:
    """Return a `PreTrainedTokenizerFast` of exactly `vocab_size` entries, its chat template included."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    specials = [PAD, END, *ROLES, *CALL_GLUE]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[*ROLES, *CALL_GLUE],
        clean_up_tokenization_spaces=False,
        spaced_strings=True,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast
