"""Whether a vLLM server is what training needs, asked of the server itself before anything is sampled.

Version, context, tokenizer, vocabulary, processed logprobs, and the weights. Knows nothing of sessions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from agent.sampling.vllm_session import completion_body
from agent.sampling.vllm_wire import Refused, ServedModel, VllmServer, WireError
from inbox_env.errors import UpstreamError, UsageError

OLDEST_VERSION = (0, 30)
MAX_LOGPROB_GAP = 0.1  # nats, mean over the probe: bfloat16 is ten times closer, another model ten times farther
_PROBE_TEMPERATURE = 2.0


@dataclass(frozen=True, slots=True)
class Expected:
    """What a server must agree with: made from the trainer's own model and tokenizer.

    `text` encodes as `text_ids`; `probe_logprobs` are the model's own for `probe_ids[1:]`, at temperature 1.
    """

    max_context: int
    vocab_size: int
    text: str
    text_ids: tuple[int, ...]
    probe_ids: tuple[int, ...]
    probe_logprobs: tuple[float, ...]


async def check_server(server: VllmServer, expected: Expected) -> str:
    """Return the name of the served base model; raises UsageError for a server that cannot be used.

    Raises UpstreamError when it does not answer.
    """
    try:
        await _check_version(server)
        base = await _base_model(server)
        _check_context(server, base, expected)
        await _check_tokenizer(server, base.id, expected)
        await _check_vocabulary(server, base.id, expected)
        await _check_logprobs_mode(server, base.id, expected)
    except WireError as error:
        raise _no_answer(server, error) from error
    return base.id


async def check_served_weights(server: VllmServer, model: str, expected: Expected) -> None:
    """Raise UsageError when the served weights are not the trainer's: their logprobs of a probe differ."""
    try:
        served = await served_logprobs(server, model, expected.probe_ids)
    except WireError as error:
        raise _no_answer(server, error) from error
    if served is None:
        raise UsageError(90, "the server returns no logprobs of the prompt", where=server.name)
    gap = fmean(abs(mine - theirs) for mine, theirs in zip(expected.probe_logprobs, served, strict=True))
    if not gap <= MAX_LOGPROB_GAP:
        raise UsageError(
            91,
            f"the server's weights are not the trainer's: logprobs of a probe differ by {gap:.2g} nats",
            where=server.name,
            next_step="serve the model of model.path, unquantised",
        )


async def served_logprobs(server: VllmServer, model: str, ids: Sequence[int]) -> list[float] | None:
    """Return the logprobs of `ids[1:]` under what is served as `model`; None when the server tells none.

    Raises WireError when it does not answer.
    """
    choice = await server.complete(completion_body(model, list(ids), 1, 1.0, 0) | {"prompt_logprobs": 0})
    rows = (choice.prompt_logprobs or ())[1:]
    if len(rows) != len(ids) - 1:
        return None
    pairs = zip(rows, ids[1:], strict=True)
    return [row[token].logprob if row and token in row else -math.inf for row, token in pairs]


async def _check_version(server: VllmServer) -> None:
    version = await server.version()
    found = re.match(r"(\d+)\.(\d+)", version)
    if found is None or (int(found[1]), int(found[2])) < OLDEST_VERSION:
        floor = ".".join(map(str, OLDEST_VERSION))
        next_step = f"pip install 'vllm>={floor}' where it runs"
        raise UsageError(86, f"vllm {version[:40]} is older than {floor}", where=server.name, next_step=next_step)


async def _base_model(server: VllmServer) -> ServedModel:
    bases = [model for model in await server.models() if model.parent is None]
    if len(bases) != 1:
        raise UsageError(87, f"{len(bases)} base models are served where one is needed", where=server.name)
    return bases[0]


def _check_context(server: VllmServer, base: ServedModel, expected: Expected) -> None:
    length = base.max_model_len
    if length is not None and length < expected.max_context:
        what = f"the server's context of {length} tokens is shorter than sampling.max_context, {expected.max_context}"
        raise UsageError(88, what, where=server.name, next_step=f"--max-model-len {expected.max_context}")


async def _check_tokenizer(server: VllmServer, model: str, expected: Expected) -> None:
    if await server.tokenize(model, expected.text) != expected.text_ids:
        raise UsageError(
            89,
            "the server's tokenizer is not the trainer's",
            where=server.name,
            next_step="serve the model of model.path",
        )


async def _check_vocabulary(server: VllmServer, model: str, expected: Expected) -> None:
    """The trainer's last token must exist there, and what comes after it must not."""
    await server.complete(completion_body(model, [expected.vocab_size - 1], 1, 1.0, 0))
    try:
        await server.complete(completion_body(model, [expected.vocab_size], 1, 1.0, 0))
    except Refused as error:
        if error.status == 400:
            return
        raise
    what = f"the server's vocabulary is larger than the trainer's, {expected.vocab_size}"
    raise UsageError(92, what, where=server.name, next_step="serve the model of model.path")


async def _check_logprobs_mode(server: VllmServer, model: str, expected: Expected) -> None:
    """Processed logprobs are those of the temperature sampled with: at twice the temperature, half as far apart."""
    prompt = list(expected.probe_ids)
    while len(prompt) > 1:
        plain = await _gap_of_the_best_two(server, model, prompt, 1.0)
        heated = await _gap_of_the_best_two(server, model, prompt, _PROBE_TEMPERATURE)
        if plain > 1e-3:
            if abs(heated - plain / _PROBE_TEMPERATURE) <= 0.1 * plain:
                return
            raise UsageError(
                93,
                "the server returns logprobs of another temperature than it samples with",
                where=server.name,
                next_step="start it with --logprobs-mode processed_logprobs",
            )
        prompt = prompt[: len(prompt) // 2]
    raise UsageError(94, "the server's model cannot tell two tokens apart", where=server.name)


async def _gap_of_the_best_two(server: VllmServer, model: str, prompt: list[int], temperature: float) -> float:
    choice = await server.complete(completion_body(model, prompt, 1, temperature, 0) | {"logprobs": 2})
    rows = choice.logprobs.top_logprobs if choice.logprobs else None
    if not rows or not rows[0] or len(rows[0]) < 2:
        raise UsageError(95, "the server returns no logprobs", where=server.name, next_step="--max-logprobs 20")
    best, second = sorted(rows[0].values(), reverse=True)[:2]
    return best - second


def _no_answer(server: VllmServer, error: WireError) -> UpstreamError:
    detail = f": {error.detail[:120]}" if isinstance(error, Refused) else ""
    return UpstreamError(81, f"{error}{detail}", where=server.url, next_step="is vLLM running there?")
