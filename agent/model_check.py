"""Whether the trainer computes what the model computes: packed text and chunked logits against a plain forward pass.

A loader that replaces the attention, or a model that scales its logits, would otherwise train on wrong numbers without
a word. Knows nothing of training.
"""

from __future__ import annotations

from typing import Any

import torch

from agent.gradient_checkpointing import without_checkpointing
from agent.grpo.logprobs import action_logprobs
from agent.grpo.packing import pack
from agent.grpo.samples import TrainingSample
from agent.lora import plain_model
from agent.segment_attention import enable_segment_attention
from inbox_env.errors import UsageError

_LENGTHS = (9, 5)
_ALLOWED = {torch.float32: 2e-3, torch.bfloat16: 0.3, torch.float16: 0.1}  # nats a token


@torch.no_grad()
def check_trainable(model: Any, max_context: int) -> None:
    """Prepare `model` for packed text, and raise UsageError when its logprobs change with that."""
    enable_segment_attention(model)
    config = model.config.get_text_config()
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    if window is not None and window < max_context:
        what = f"the model's layers see {window} tokens back, sampling.max_context is {max_context}"
        raise UsageError(84, what, where=config.model_type, next_step="lower sampling.max_context")
    generator = torch.Generator().manual_seed(0)
    texts = [torch.randint(config.vocab_size, (length,), generator=generator).tolist() for length in _LENGTHS]
    samples = [TrainingSample(tuple(text), (0, *(1,) * (len(text) - 1)), (0.0,) * len(text), 0.0, 0) for text in texts]
    (batch,) = pack(samples, sum(_LENGTHS))
    found, _ = action_logprobs(model, batch.to(model.device))
    wanted = _plain_logprobs(model, texts)
    if not float((found.cpu() - wanted).abs().max()) <= _ALLOWED.get(model.dtype, 0.3):
        what = f"a {config.model_type!r} model, as it was loaded, cannot be trained on packed text"
        raise UsageError(83, what, where="model", next_step="use model.loader = transformers, or another model")


def _plain_logprobs(model: Any, texts: list[list[int]]) -> torch.Tensor:
    """Return the logprobs of all tokens but the firsts, by the model's own forward pass and attention."""
    plain, parts = plain_model(model), []
    before = plain.config._attn_implementation
    plain.set_attn_implementation("sdpa" if plain._supports_sdpa else "eager")
    try:
        with without_checkpointing(plain):
            for text in texts:
                ids = torch.tensor([text], device=plain.device)
                logprobs = plain(ids, use_cache=False).logits[0, :-1].float().log_softmax(-1)
                parts.append(logprobs.gather(-1, ids[0, 1:, None])[:, 0].cpu())
    finally:
        plain.set_attn_implementation(before)
    return torch.cat(parts)
