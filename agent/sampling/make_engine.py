"""The sampling engine that a training configuration names. The one place that knows them all."""

from __future__ import annotations

import shutil
from pathlib import Path

from transformers import PreTrainedModel

from agent.chat_format import ChatFormat
from agent.grpo.config import TrainConfig
from agent.grpo.distributed import ALONE, Peers
from agent.grpo.logprobs import prompt_logprobs
from agent.sampling.engine import TrainedEngine

PROBE_TEXT = "Which message says when the meeting of the 14th was moved, and to what time? Ask Zoë: <zoe@example.org>\n"


def make_engine(
    config: TrainConfig, model: PreTrainedModel, chat: ChatFormat, run: Path, peers: Peers = ALONE
) -> TrainedEngine:
    """Return the engine that samples from `model`, ready to open sessions.

    `model` was prepared by `enable_segment_attention`. For the http engine the servers are checked and hold the
    model's weights afterwards; raises UsageError or UpstreamError when they cannot be used.
    """
    return (_torch if config.sampling.engine == "torch" else _vllm)(config, model, chat, run, peers)


def _torch(config: TrainConfig, model: PreTrainedModel, chat: ChatFormat, _: Path, __: Peers) -> TrainedEngine:
    from agent.sampling.torch_engine import TorchEngine

    return TorchEngine(
        model,
        stop_token_ids=set(chat.stop_token_ids),
        max_rows=config.sampling.max_rows,
        max_context=config.sampling.max_context,
        temperature=config.sampling.temperature,
    )


def _vllm(config: TrainConfig, model: PreTrainedModel, chat: ChatFormat, run: Path, peers: Peers) -> TrainedEngine:
    from agent.sampling.patience import Patience
    from agent.sampling.publish import Publisher
    from agent.sampling.server_url import check_server_url
    from agent.sampling.vllm_check import Expected
    from agent.sampling.vllm_engine import VllmEngine

    sampling = config.sampling
    ids = tuple(chat.plain_ids(PROBE_TEXT))[: sampling.max_context - 2]
    vocab_size = model.get_input_embeddings().weight.shape[0]
    logprobs = prompt_logprobs(model, ids)
    engine = VllmEngine(
        [check_server_url(url, allow_public=sampling.allow_public_servers) for url in sampling.servers],
        Publisher(model, _weights_folder(config, run, peers)),
        stop_token_ids=set(chat.stop_token_ids),
        vocab_size=vocab_size,
        max_rows=sampling.max_rows,
        max_context=sampling.max_context,
        temperature=sampling.temperature,
        patience=Patience(budget_seconds=sampling.request_seconds, attempt_seconds=sampling.request_seconds / 2),
        peers=peers,
    )
    engine.start(
        Expected(sampling.max_context, vocab_size, PROBE_TEXT, tuple(chat.plain_ids(PROBE_TEXT)), ids, logprobs)
    )
    return engine


def _weights_folder(config: TrainConfig, run: Path, peers: Peers) -> Path:
    """Return where weights are published; what a killed sitting left in the run's own folder is removed."""
    if config.sampling.weights_folder:
        return Path(config.sampling.weights_folder)
    if peers.is_first:
        shutil.rmtree(run / "sampler", ignore_errors=True)
    return run / "sampler"
