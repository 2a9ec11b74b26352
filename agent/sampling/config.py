"""How the policy is sampled in training: which engine, how much at once, and the servers of the http engine."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agent.grpo.section import Section


class SamplingConfig(Section):
    """How the policy is sampled in training."""

    temperature: float = Field(default=1.0, gt=0)
    """Temperature of the sampler and of the trained logprobs."""
    max_new_tokens: int = Field(default=64, ge=1)
    """Tokens of one turn."""
    max_context: int = Field(default=1024, ge=1)
    """Tokens of one episode, prompt and observations included."""
    max_rows: int = Field(default=192, ge=1)
    """Episodes that are sampled at once."""
    engine: Literal["torch", "vllm"] = "torch"
    """torch: in this process; vllm: over HTTP on the servers below, which load the weights after every step."""
    servers: tuple[str, ...] = Field(default=("http://127.0.0.1:8000",), min_length=1)
    """vLLM servers, version 0.30 or newer, that serve model.path; they read `weights_folder` themselves."""
    weights_folder: str = ""
    """Folder that trainer and servers both see, where new weights are put; empty: `sampler` in the run folder."""
    request_seconds: float = Field(default=120.0, gt=0)
    """Longest that one turn may take on a server, retries included."""
    allow_public_servers: bool = False
    """Let mail go to a server that is neither on this machine nor on a private network."""
