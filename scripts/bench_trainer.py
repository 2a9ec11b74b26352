"""Measure training: a whole step beside TRL's GRPOTrainer, and packing beside padding, with equal gradients.

The step is 8 prompts x 8 rollouts with three tool turns (`bench_step`). Packed segments with gathered, chunked logprobs
are compared with right padding, an attention mask and full logits, on the same sequences. Knows nothing of mail: the
sequences are random.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from random import Random
from statistics import median
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, Qwen3Config, Qwen3ForCausalLM

from agent.grpo.logprobs import action_logprobs
from agent.grpo.loss import LossConfig, policy_loss
from agent.grpo.losses.averaging import StepSize
from agent.grpo.packing import pack
from agent.grpo.samples import TrainingSample
from agent.segment_attention import enable_segment_attention
from scripts.bench_sampler import tool_turns
from scripts.bench_step import make_step_model, measure_steps

VOCABULARY = 3500
PARTS = ("packing", "step")
Step = Callable[[], None]


@dataclass(frozen=True, slots=True)
class TrainerBenchmark:
    """What was measured: rates in trained tokens per CPU second, medians over the repeats."""

    num_parameters: int
    num_tokens: int
    num_action_tokens: int
    padded_tokens_per_cpu_second: float
    packed_tokens_per_cpu_second: float
    speedup: float
    max_gradient_difference: float
    max_gradient: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--samples", type=int, default=64, help="sequences in a step (default: 64)")
    parser.add_argument("--max-tokens", type=int, default=4096, help="tokens of a packed micro-batch (default: 4096)")
    parser.add_argument("--padded-rows", type=int, default=8, help="rows of a padded micro-batch (default: 8)")
    parser.add_argument("--repeats", type=int, default=3, help="timed steps of each kind (default: 3)")
    parser.add_argument("--threads", type=int, default=1, help="torch threads (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights and sequences (default: 0)")
    parser.add_argument("--part", choices=PARTS, action="append", help="only this part; repeatable (default: both)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the measurements; returns 0."""
    torch.set_num_threads(args.threads)
    parts = args.part or PARTS
    result: dict[str, Any] = {"threads": args.threads}
    if "packing" in parts:
        samples = make_samples(args.samples, args.seed)
        packing = measure(make_model(args.seed), samples, args.max_tokens, args.padded_rows, args.repeats)
        result["packing"] = asdict(packing)
    if "step" in parts:
        model = make_step_model(args.seed)
        work = tool_turns(model.config.vocab_size, "tool_turns", num_groups=8, prompt=256)
        result["step"] = measure_steps(model, work, args.repeats, args.max_tokens, args.seed)
    if args.json:
        print(json.dumps(result))
    else:
        _print(result)
    return 0


def _print(result: dict[str, Any]) -> None:
    if packing := result.get("packing"):
        print(f"packing     {packing['num_parameters'] / 1e6:.2f} M parameters, {result['threads']} thread(s)")
        print(f"  batch     {packing['num_tokens']} tokens, {packing['num_action_tokens']} of them trained on")
        print(f"  padded    {packing['padded_tokens_per_cpu_second']:,.0f} tokens per CPU second (full logits)")
        print(f"  packed    {packing['packed_tokens_per_cpu_second']:,.0f} ({packing['speedup']:.2f}x)")
        print(f"  gradients differ by {packing['max_gradient_difference']:.1e} of {packing['max_gradient']:.1e}")
    if step := result.get("step"):
        print(f"step        {step['num_parameters'] / 1e6:.2f} M parameters, {step['rollouts']} rollouts")
        print(f"  tokens    {step['generated_tokens']} sampled in four turns, all of them trained on")
        for side in ("trl", "mailsleuth"):
            seconds = step[side]
            parts = ", ".join(f"{name} {seconds[f'{name}_cpu']:.2f}" for name in ("sampling", "training", "step"))
            print(f"  {side:10}  CPU seconds: {parts}")
        ratios = step["times_as_fast"]
        parts = ", ".join(f"{name} {ratios[f'{name}_cpu']:.2f}x" for name in ("sampling", "training", "step"))
        print(f"  as fast   {parts}")


def make_model(seed: int) -> PreTrainedModel:
    """Return an untrained model of the laptop's size and shape."""
    torch.manual_seed(seed)
    shape = Qwen3Config(
        hidden_size=160,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=40,
        intermediate_size=480,
        vocab_size=VOCABULARY,
        tie_word_embeddings=True,
        max_position_embeddings=1024,
    )
    model: PreTrainedModel = Qwen3ForCausalLM(shape).train()
    return model


def make_samples(num_samples: int, seed: int) -> list[TrainingSample]:
    """Return random episodes of 120 to 500 tokens, of which sampled turns of 8 to 24 tokens are about 15 %."""
    random = Random(seed)
    return [_make_sample(random) for _ in range(num_samples)]


def measure(
    model: PreTrainedModel, samples: Sequence[TrainingSample], max_tokens: int, padded_rows: int, repeats: int
) -> TrainerBenchmark:
    """Return the benchmark of `repeats` alternating steps of each kind, after one of each to warm up."""
    attention = model.config._attn_implementation

    def padded() -> None:
        model.set_attn_implementation(attention)
        padded_step(model, samples, padded_rows)

    def packed() -> None:
        enable_segment_attention(model)
        packed_step(model, samples, max_tokens)

    reference, gradients = _gradients(model, padded), _gradients(model, packed)
    seconds = [(_cpu_seconds(model, padded), _cpu_seconds(model, packed)) for _ in range(repeats)]
    num_tokens = sum(len(sample.token_ids) for sample in samples)
    padded_seconds, packed_seconds = (median(column) for column in zip(*seconds, strict=True))
    return TrainerBenchmark(
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
        num_tokens=num_tokens,
        num_action_tokens=sum(sample.num_actions for sample in samples),
        padded_tokens_per_cpu_second=num_tokens / padded_seconds,
        packed_tokens_per_cpu_second=num_tokens / packed_seconds,
        speedup=padded_seconds / packed_seconds,
        max_gradient_difference=float((reference - gradients).abs().max()),
        max_gradient=float(reference.abs().max()),
    )


def packed_step(model: PreTrainedModel, samples: Sequence[TrainingSample], max_tokens: int) -> None:
    """Add the step's gradients as the trainer computes them."""
    size = StepSize(sum(sample.num_actions for sample in samples))
    for batch in pack(samples, max_tokens):
        logprobs, entropy = action_logprobs(model, batch)
        loss, _ = policy_loss(LossConfig(), logprobs, batch.old_logprobs, batch.advantages, size, entropy=entropy)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated


def padded_step(model: PreTrainedModel, samples: Sequence[TrainingSample], rows: int) -> None:
    """Add the step's gradients the plain way: padded rows in the order given, logits of every token."""
    size = StepSize(sum(sample.num_actions for sample in samples))
    for start in range(0, len(samples), rows):
        chunk = samples[start : start + rows]
        token_ids = _pad([sample.token_ids for sample in chunk]).long()
        attention_mask = _pad([(1,) * len(sample.token_ids) for sample in chunk]).long()
        action_mask = _pad([sample.action_mask for sample in chunk])[:, 1:].bool()
        old_logprobs = _pad([sample.logprobs for sample in chunk])[:, 1:][action_mask]
        advantages = torch.tensor([[sample.advantage] for sample in chunk]).expand(action_mask.shape)[action_mask]
        logits = model(input_ids=token_ids, attention_mask=attention_mask, use_cache=False).logits[:, :-1]
        logprobs = logits.float().log_softmax(-1).gather(-1, token_ids[:, 1:, None])[..., 0][action_mask]
        loss, _ = policy_loss(LossConfig(), logprobs, old_logprobs, advantages, size)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated


def _make_sample(random: Random) -> TrainingSample:
    length = random.randint(120, 500)
    mask = [0] * length
    while sum(mask) < 0.15 * length:
        start, turn = random.randint(60, length - 8), random.randint(8, 24)
        mask[start : start + turn] = [1] * len(mask[start : start + turn])
    token_ids = tuple(random.randrange(VOCABULARY) for _ in range(length))
    logprobs = tuple(-8.0 * random.random() * sampled for sampled in mask)
    return TrainingSample(token_ids, tuple(mask), logprobs, advantage=random.uniform(-1, 1))


def _pad(rows: Sequence[Sequence[float]]) -> Tensor:
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows], dtype=torch.float32)


def _gradients(model: PreTrainedModel, step: Step) -> Tensor:
    model.zero_grad()
    step()
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None])


def _cpu_seconds(model: PreTrainedModel, step: Step) -> float:
    model.zero_grad()
    start = time.process_time()
    step()
    return time.process_time() - start
