"""What a decoder computes, beside what the whole model computes."""

from __future__ import annotations

import torch

from agent.sampling.cached_model import Append

VOCABULARY = 61


def random_ids(*shape, seed=0):
    return torch.randint(VOCABULARY, shape, generator=torch.Generator().manual_seed(seed)).tolist()


@torch.inference_mode()
def full_logits(model, ids):
    return model(torch.tensor([ids])).logits[0].float()


@torch.inference_mode()
def appended(decoder, cache, *appends):
    return decoder.logits(decoder.append(cache, [Append(row, ids) for row, ids in appends]))


@torch.inference_mode()
def stepped(decoder, cache, rows, token_ids):
    return decoder.logits(decoder.step(cache, rows, token_ids))
