"""Chat templates with the structure of well-known model families, in words of their own, and small tokenizers for them.

Each template makes the same demands as its family's: roles that it refuses, ids that it insists on, the syntax of its
calls, what it drops from earlier turns.
"""

from __future__ import annotations

import json
from functools import cache

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

WORDS = "Where is the Falcon budget of Ann Lee? search_emails keywords read_email id return_final_answer answer sources"
REFUSE = "{{ raise_exception('these messages are not supported') }}"

HEADER = "<|start_header_id|>{}<|end_header_id|>\n\n"
LLAMA = (
    "{{ bos_token }}{% if date_string is not defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
    "{% set words = '' %}{% if messages[0].role == 'system' %}{% set words = messages[0].content | trim %}"
    "{% set messages = messages[1:] %}{% endif %}"
    + HEADER.format("system")
    + "Environment: ipython\nDay: {{ date_string }}\n\n{{ words }}<|eot_id|>"
    + HEADER.format("user")
    + 'Call one of these with {"name": name, "parameters": object}.\n\n'
    "{% for tool in tools %}{{ tool | tojson(indent=4) }}\n\n{% endfor %}{{ messages[0].content | trim }}<|eot_id|>"
    "{% for message in messages[1:] %}"
    "{% if message.tool_calls is defined %}{% if message.tool_calls | length != 1 %}" + REFUSE + "{% endif %}"
    "{% set call = message.tool_calls[0].function %}"
    + HEADER.format("assistant")
    + '{"name": "{{ call.name }}", "parameters": {{ call.arguments | tojson }}}<|eot_id|>'
    "{% elif message.role in ('tool', 'ipython') %}"
    + HEADER.format("ipython")
    + "{% if message.content is mapping or message.content is iterable %}{{ message.content | tojson }}"
    "{% else %}{{ message.content }}{% endif %}<|eot_id|>"
    "{% else %}" + HEADER.format("{{ message.role }}") + "{{ message.content | trim }}<|eot_id|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}" + HEADER.format("assistant") + "{% endif %}"
)

_ALTERNATE = (
    "{% set seen = namespace(count=0) %}{% for message in loop_messages %}"
    "{% if message.role == 'user' or (message.role == 'assistant' and not message.tool_calls) %}"
    "{% if (message.role == 'user') != (seen.count % 2 == 0) %}" + REFUSE + "{% endif %}"
    "{% set seen.count = seen.count + 1 %}{% endif %}{% endfor %}"
)
_MISTRAL_START = (
    "{% if messages[0].role == 'system' %}{% set words = messages[0].content %}{% set loop_messages = messages[1:] %}"
    "{% else %}{% set loop_messages = messages %}{% endif %}" + _ALTERNATE + "{{ bos_token }}"
)
_NINE = "{% if message.tool_call_id is not defined or message.tool_call_id | length != 9 %}" + REFUSE + "{% endif %}"
MISTRAL = (
    _MISTRAL_START + "{% for message in loop_messages %}{% if message.role == 'user' %}"
    "[AVAILABLE_TOOLS] {{ tools | tojson }}[/AVAILABLE_TOOLS]"
    "{% if loop.last and words is defined %}[INST] {{ words }}\n\n{{ message.content }}[/INST]"
    "{% else %}[INST] {{ message.content }}[/INST]{% endif %}"
    "{% elif message.tool_calls %}[TOOL_CALLS] [{% for call in message.tool_calls %}"
    "{% if call.id | length != 9 %}" + REFUSE + "{% endif %}"
    "{{ (call.function | tojson)[:-1] }}, \"id\": \"{{ call.id }}\"}{{ ', ' if not loop.last else ']' + eos_token }}"
    "{% endfor %}{% elif message.role == 'assistant' %} {{ message.content | trim }}{{ eos_token }}"
    "{% elif message.role == 'tool' %}" + _NINE + '[TOOL_RESULTS] {"content": {{ message.content | string }}, '
    '"call_id": "{{ message.tool_call_id }}"}[/TOOL_RESULTS]{% else %}' + REFUSE + "{% endif %}{% endfor %}"
)
MISTRAL_ARGS = (
    _MISTRAL_START + "{% if words is defined %}[SYSTEM_PROMPT]{{ words }}[/SYSTEM_PROMPT]{% endif %}"
    "[AVAILABLE_TOOLS]{{ tools | tojson }}[/AVAILABLE_TOOLS]"
    "{% for message in loop_messages %}{% if message.role == 'user' %}[INST]{{ message.content }}[/INST]"
    "{% elif message.role == 'assistant' %}{{ message.content or '' }}{% for call in message.tool_calls or [] %}"
    "[TOOL_CALLS]{{ call.function.name }}[ARGS]{{ call.function.arguments | tojson }}{% endfor %}{{ eos_token }}"
    "{% elif message.role == 'tool' %}[TOOL_RESULTS]{{ message.content }}[/TOOL_RESULTS]{% endif %}{% endfor %}"
)

_CHATML = "<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
_CHATML_CUE = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
SMOLLM2 = "{% for message in messages %}" + _CHATML + "{% endfor %}" + _CHATML_CUE
SMOLLM3 = (
    "{% set mode = '/no_think' if enable_thinking is defined and not enable_thinking else '/think' %}"
    "<|im_start|>system\nDay: {{ strftime_now('%d %B %Y') }}, mode: {{ mode }}\n\n"
    "{{ messages[0].content if messages[0].role == 'system' }}\nCalls go into <tool_call></tool_call>.\n"
    "{% for tool in tools %}{{ tool | string }}\n{% endfor %}<|im_end|>\n"
    "{% for message in messages %}{% if message.role == 'user' %}" + _CHATML + "{% elif message.role == 'assistant' %}"
    "<|im_start|>assistant\n{% if mode == '/no_think' %}<think>\n\n</think>\n{% endif %}"
    "{{ message.content | string }}<|im_end|>\n"
    "{% elif message.role == 'tool' %}<|im_start|>user\n{{ message.content | string }}<|im_end|>\n"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if mode == '/no_think' %}<think>\n\n</think>\n{% endif %}{% endif %}"
)
CODER = (
    "<|im_start|>system\n{{ messages[0].content }}\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}"
    "<|im_end|>\n{% for message in messages[1:] %}{% if message.role == 'tool' %}"
    "{% if loop.previtem.role != 'tool' %}<|im_start|>user\n{% endif %}"
    "<tool_response>\n{{ message.content }}\n</tool_response>\n"
    "{% if loop.last or loop.nextitem.role != 'tool' %}<|im_end|>\n{% endif %}"
    "{% elif message.tool_calls %}<|im_start|>assistant\n{% for call in message.tool_calls %}"
    "<tool_call>\n<function={{ call.function.name }}>\n{% for key, value in call.function.arguments | items %}"
    "<parameter={{ key }}>\n{{ value if value is string else value | tojson }}\n</parameter>\n{% endfor %}"
    "</function>\n</tool_call>{% endfor %}<|im_end|>\n{% else %}" + _CHATML + "{% endif %}{% endfor %}" + _CHATML_CUE
)
# Opens a thinking block for every turn and shows none of it afterwards.
DROPS_THOUGHTS = (
    "{% for message in messages %}{% if message.role == 'assistant' %}"
    "<|im_start|>assistant\n{{ message.content.split('</think>')[-1] }}<|im_end|>\n{% else %}" + _CHATML + "{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% for message in messages %}{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}"
    + REFUSE
    + "{% endif %}{% set role = 'model' if message.role == 'assistant' else 'user' %}"
    "<start_of_turn>{{ role }}\n{{ message.content | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)

_CHATML_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
_THINK = ["<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"]
FAMILIES = {  # template, special tokens (the last one ends a text), added tokens that are not special
    "llama": (LLAMA, ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|python_tag|>", "<|eom_id|>",
                      "<|eot_id|>"], []),
    "mistral": (MISTRAL, ["<s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_CALLS]",
                          "[TOOL_RESULTS]", "[/TOOL_RESULTS]", "</s>"], []),
    "mistral-args": (MISTRAL_ARGS, ["<s>", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[INST]", "[/INST]", "[ARGS]",
                                    "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_CALLS]", "[TOOL_RESULTS]",
                                    "[/TOOL_RESULTS]", "</s>"], []),
    "smollm2": (SMOLLM2, _CHATML_TOKENS, []),
    "smollm3": (SMOLLM3, _CHATML_TOKENS, _THINK),
    "coder": (CODER, _CHATML_TOKENS, _THINK),
    "drops-thoughts": (DROPS_THOUGHTS, _CHATML_TOKENS, _THINK),
    "gemma": (GEMMA, ["<bos>", "<start_of_turn>", "<eos>", "<end_of_turn>"], []),
}  # fmt: skip


@cache
def family_tokenizer(name: str) -> PreTrainedTokenizerFast:
    """Return a byte-level tokenizer with the family's tokens and template."""
    template, specials, added = FAMILIES[name]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([WORDS, template], trainer)
    tokenizer.add_special_tokens(specials)
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in added])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=specials[0], eos_token=specials[-1])
    fast.chat_template = template
    return fast


@cache
def spacing_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of the older kind, which puts a space before every text that it is given."""
    learnt = Tokenizer(models.BPE())
    learnt.train_from_iterator(
        [WORDS.replace(" ", " \u2581")], trainers.BpeTrainer(vocab_size=400, show_progress=False)
    )
    vocab = ["<unk>", *(f"<0x{number:02X}>" for number in range(256)), *learnt.get_vocab()]
    merges = [tuple(pair) for pair in json.loads(learnt.to_str())["model"]["merges"]]
    numbered = {text: number for number, text in enumerate(vocab)}
    tokenizer = Tokenizer(models.BPE(numbered, merges, byte_fallback=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    _, specials, _ = FAMILIES["mistral"]
    tokenizer.add_special_tokens(specials)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    fast.chat_template = MISTRAL
    return fast
