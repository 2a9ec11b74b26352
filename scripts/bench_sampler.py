"""Compare the sampling engine with Hugging Face `generate`: same model, same work, one process.

Reports generated tokens per CPU second, alternating the two and taking medians. Knows nothing of mail.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModelForCausalLM, Qwen3Config, Qwen3ForCausalLM

from agent.sampling.torch_engine import TorchEngine

WORKLOADS = ("one_turn", "tool_turns", "laptop_step")


@dataclass(frozen=True, slots=True)
class Workload:
    """Rows in groups of equal prompts; every turn appends a tool result (the first: the prompt) and samples.

    `appended[row][turn]` are token ids, `num_sampled[row][turn]` says how many tokens that turn samples.
    """

    name: str
    appended: list[list[list[int]]]
    num_sampled: list[list[int]]

    @property
    def num_generated(self) -> int:
        """Sampled tokens of all rows."""
        return sum(map(sum, self.num_sampled))


def one_turn(vocab_size: int, *, num_groups: int = 8, group_size: int = 8) -> Workload:
    """Return 64 rows with prompts of 256 tokens and 100 sampled ones."""
    rng = random.Random(0)
    prompts = [_tokens(rng, vocab_size, 256) for _ in range(num_groups)]
    rows = [[prompt] for prompt in prompts for _ in range(group_size)]
    return Workload("one_turn", rows, [[100]] * len(rows))


def tool_turns(vocab_size: int, name: str, *, num_groups: int, prompt: int, group_size: int = 8) -> Workload:
    """Return rows with three tool results of 60 to 120 tokens and four sampled segments of 5 to 15."""
    rng = random.Random(0)
    prompts = [_tokens(rng, vocab_size, prompt) for _ in range(num_groups)]
    rows = [
        [first, *(_tokens(rng, vocab_size, rng.randint(60, 120)) for _ in range(3))]
        for first in prompts
        for _ in range(group_size)
    ]
    return Workload(name, rows, [[rng.randint(5, 15) for _ in row] for row in rows])


def run_engine(model: Any, work: Workload) -> None:
    """Play the workload with one session per row."""
    engine = TorchEngine(model, stop_token_ids=set(), max_rows=len(work.appended), max_context=768)

    async def play(seed: int) -> None:
        session = engine.open(seed)
        for token_ids, num_tokens in zip(work.appended[seed], work.num_sampled[seed], strict=True):
            sample = await session.sample(token_ids, num_tokens)
            assert len(sample.token_ids) == num_tokens
        session.close()

    async def play_all() -> None:
        await asyncio.gather(*(play(seed) for seed in range(len(work.appended))))

    asyncio.run(play_all())


@torch.inference_mode()
def run_generate(model: Any, work: Workload) -> None:
    """Play the workload with `generate`, all rows in lock-step, the left-padded whole sequence each turn."""
    contexts: list[list[int]] = [[] for _ in work.appended]
    for turn in range(len(work.appended[0])):
        contexts = [context + row[turn] for context, row in zip(contexts, work.appended, strict=True)]
        width = max(map(len, contexts))
        ids = torch.tensor([[0] * (width - len(context)) + context for context in contexts])
        mask = torch.tensor([[0] * (width - len(context)) + [1] * len(context) for context in contexts])
        counts = [row[turn] for row in work.num_sampled]
        output = model.generate(
            ids.to(model.device),
            attention_mask=mask.to(model.device),
            max_new_tokens=max(counts),
            do_sample=True,
            top_k=0,
            top_p=1.0,
            eos_token_id=None,
            pad_token_id=0,
            use_cache=True,
        )
        sampled = output[:, width:].tolist()
        contexts = [context + new[:n] for context, new, n in zip(contexts, sampled, counts, strict=True)]


def compare(model: Any, work: Workload, repeats: int) -> dict[str, Any]:
    """Return tokens per CPU second of both, and their ratio (above 1: the engine is faster)."""
    runs: tuple[Callable[[Any, Workload], None], ...] = (run_engine, run_generate)
    seconds: dict[str, list[float]] = {run.__name__: [] for run in runs}
    for _ in range(repeats):
        for run in runs:
            started = time.process_time()
            run(model, work)
            seconds[run.__name__].append(time.process_time() - started)
    engine, generate = (work.num_generated / statistics.median(seconds[run.__name__]) for run in runs)
    return {
        "workload": work.name,
        "rows": len(work.appended),
        "generated_tokens": work.num_generated,
        "engine_tokens_per_cpu_second": round(engine, 1),
        "generate_tokens_per_cpu_second": round(generate, 1),
        "ratio": round(engine / generate, 2),
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--model", default="", help="folder of a causal LM; default: a random laptop-sized one")
    parser.add_argument("--threads", type=int, default=1, help="torch threads (default 1)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each, the median counts (default 3)")
    parser.add_argument("--device", default="cpu", help="torch device (default cpu)")
    parser.add_argument("--workload", choices=WORKLOADS, action="append", help="one of the workloads (default all)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Run the workloads and print the table."""
    torch.set_num_threads(args.threads)
    model = _load(args.model).to(args.device).eval()
    vocab_size = model.config.vocab_size
    names = args.workload or WORKLOADS
    results = [compare(model, _workload(name, vocab_size), args.repeats) for name in names]
    if args.json:
        print(json.dumps({"results": results, "threads": args.threads, "versions": _versions()}))
        return 0
    for row in results:
        print(
            f"{row['workload']:12} {row['rows']:4} rows  engine {row['engine_tokens_per_cpu_second']:9.1f}  "
            f"generate {row['generate_tokens_per_cpu_second']:9.1f} tokens/CPU-s  ratio {row['ratio']:.2f}"
        )
    return 0


def _workload(name: str, vocab_size: int) -> Workload:
    if name == "one_turn":
        return one_turn(vocab_size)
    if name == "tool_turns":
        return tool_turns(vocab_size, name, num_groups=8, prompt=256)
    return tool_turns(vocab_size, name, num_groups=24, prompt=50)


def _load(path: str) -> Any:
    if path:
        return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=3500,
        hidden_size=160,
        intermediate_size=480,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=40,
        tie_word_embeddings=True,
        max_position_embeddings=1024,
    )
    return Qwen3ForCausalLM(config)


def _tokens(rng: random.Random, vocab_size: int, count: int) -> list[int]:
    return [rng.randrange(vocab_size) for _ in range(count)]


def _versions() -> dict[str, str]:
    import transformers

    return {"python": platform.python_version(), "torch": torch.__version__, "transformers": transformers.__version__}


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_arguments(parser)
    return run(parser.parse_args())


if __name__ == "__main__":
    raise SystemExit(main())
