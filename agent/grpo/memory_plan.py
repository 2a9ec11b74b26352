"""How much memory a run will need, from its configuration and the shape of its model: an estimate before it starts.

A sum of eight parts, each a formula below; T tokens of a micro-batch, L layers, h hidden, I intermediate, b bytes of a
weight. What allocators keep beside it is in `SLACK`. Pure: knows nothing of devices, and reads no weights.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from agent.grpo.config import TrainConfig
from inbox_env.errors import ResourceError

GIB = 2.0**30
SLACK = 1.15  # allocators keep freed blocks
PROCESS_GB = 0.6  # torch and transformers themselves, or a CUDA context
APPEND_TOKENS = 8192  # of one forward pass of the sampler
LOGIT_TOKENS = 512  # of one chunk of logits
_FOUR_BIT_BYTES = 0.56  # a weight in NF4 with its scales


@dataclass(frozen=True, slots=True)
class ModelShape:
    """What of a model its memory depends on; `lora_width` sums inputs and outputs of all layers that LoRA adapts."""

    num_params: int
    num_linear_params: int
    lora_width: int
    num_layers: int
    hidden: int
    intermediate: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    vocab: int


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """GiB by purpose."""

    weights: float  # with the reference model of a KL term
    sampler_weights: float  # the sampler's fused copies
    gradients: float
    optimizer: float
    activations: float  # of one micro-batch, logits included
    kv_cache: float
    sampler_activations: float
    gathered: float = 0.0  # what shards put together for the length of a pass

    @property
    def total_gb(self) -> float:
        """All parts together, with what process and allocator add."""
        parts: list[float] = [getattr(self, part.name) for part in fields(self)]
        return PROCESS_GB + SLACK * sum(parts)

    def machine_gb(self, num_sharing: int) -> float:
        """What so many processes need together that share one memory."""
        return num_sharing * self.total_gb

    def line(self, num_sharing: int = 1) -> str:
        """Return the plan for people, largest part first, of each of `num_sharing` processes that share a memory."""
        parts = sorted(((getattr(self, part.name), part.name.replace("_", " ")) for part in fields(self)), reverse=True)
        shown = ", ".join(f"{name} {size:.2g}" for size, name in parts if size >= 0.005)
        each = f" in each of {num_sharing} processes, {self.machine_gb(num_sharing):.1f} GiB together"
        return f"memory: about {self.total_gb:.1f} GiB{each if num_sharing > 1 else ''} ({shown})"


def plan_memory(config: TrainConfig, shape: ModelShape, num_processes: int = 1) -> MemoryPlan:
    """Return the estimate for one of the processes that train and, unless servers do, sample.

    In shards each has its part of a second copy of the weights, of the gradients and of the optimiser's state, and for
    the length of a pass the whole of what it computes with.
    """
    model, is_lora = config.model, config.model.lora_rank > 0
    width = 4 if model.dtype == "float32" else 2
    num_trained = model.lora_rank * shape.lora_width if is_lora else shape.num_params
    weights = float(shape.num_params * width)
    if model.load_in_4bit:
        weights = (shape.num_params - shape.num_linear_params) * width + shape.num_linear_params * _FOUR_BIT_BYTES
    reference = weights if config.loss.needs_reference and not is_lora else 0
    moments = 2 if is_lora or width == 4 else 3  # and the float32 copies of 16-bit weights
    samples_here = config.sampling.engine == "torch"
    parts = num_processes if config.grpo.strategy == "shard" else 1
    shards = weights / parts if parts > 1 else 0
    return MemoryPlan(
        weights=(weights + shards + reference + 4 * is_lora * num_trained) / GIB,
        sampler_weights=samples_here * _sampler_weights(config, shape) * width / GIB,
        gradients=num_trained * (4 if is_lora else width) / parts / GIB,
        optimizer=num_trained * 4 * moments / parts / GIB,
        activations=_activations(config, shape, width) / GIB,
        kv_cache=samples_here * _kv_cache(config, shape) * width / GIB,
        sampler_activations=samples_here * _sampler_activations(config, shape, width) / GIB,
        gathered=(parts > 1) * _gathered(shape, width, is_lora=is_lora) / GIB,
    )


def check_memory(plan: MemoryPlan, max_memory_gb: float | None, num_sharing: int = 1) -> None:
    """Raise ResourceError when what `num_sharing` processes need together is above the limit."""
    needed = plan.machine_gb(num_sharing)
    if max_memory_gb is not None and needed > max_memory_gb:
        who = "the run needs" if num_sharing == 1 else f"{num_sharing} processes of the run need"
        what = f"{who} about {needed:.1f} GiB, more than the {max_memory_gb:g} allowed"
        next_step = "lower grpo.micro_batch_tokens or sampling.max_rows, or use LoRA or gradient checkpointing"
        raise ResourceError(30, what, where="run.max_memory_gb", next_step=next_step)


def _gathered(shape: ModelShape, width: int, *, is_lora: bool) -> float:
    """Bytes of the embeddings and the head, which stay together in a pass, and of two layers, one of them on its way.

    With them the gradient of the largest of these before it is summed, and the float32 numbers that are sent.
    """
    ends, layer = shape.num_params - shape.num_linear_params, shape.num_linear_params / shape.num_layers
    return width * (ends + 2 * layer) + (0 if is_lora else (width + 4) * max(ends, layer))


def _sampler_weights(config: TrainConfig, shape: ModelShape) -> int:
    """Values copied: queries, keys, values, gate and up of every layer; with LoRA in float32 all that is adapted."""
    if config.model.load_in_4bit:
        return 0  # sampled by transformers' own forward pass
    if config.model.lora_rank and config.model.dtype == "float32":
        return shape.num_linear_params
    qkv = (shape.num_heads + 2 * shape.num_kv_heads) * shape.head_dim
    return shape.num_layers * shape.hidden * (qkv + 2 * shape.intermediate)


def _activations(config: TrainConfig, shape: ModelShape, width: int) -> float:
    """Bytes that a backward pass needs: of all layers, or with checkpointing L inputs and one layer; and the logits.

    A layer keeps its norms' inputs (float32) and outputs (8 h), rotated queries, keys, values and the attention's
    output, and four times I; with LoRA each adapted matrix keeps its input in float32.
    """
    tokens, attention = config.grpo.micro_batch_tokens, shape.num_heads * shape.head_dim
    keys = shape.num_kv_heads * shape.head_dim
    layer = 4 * 4 * shape.hidden + width * (4 * shape.hidden + 3 * attention + 4 * keys + 4 * shape.intermediate)
    if config.model.lora_rank and width < 4:
        layer += 4 * (5 * shape.hidden + attention + shape.intermediate)
    layers = shape.num_layers * layer
    if config.model.gradient_checkpointing:
        layers = shape.num_layers * width * shape.hidden + layer
    return tokens * layers + 4 * 4 * LOGIT_TOKENS * shape.vocab


def _kv_cache(config: TrainConfig, shape: ModelShape) -> int:
    """Values of the preallocated cache: 2 L times rows times context times the keys' width."""
    rows = config.sampling.max_rows * config.sampling.max_context
    return 2 * shape.num_layers * rows * shape.num_kv_heads * shape.head_dim


def _sampler_activations(config: TrainConfig, shape: ModelShape, width: int) -> float:
    """Bytes of the larger of one append (one layer at a time) and one step of all rows with its logits."""
    keys = shape.num_kv_heads * shape.head_dim
    append = APPEND_TOKENS * width * (5 * shape.hidden + 4 * shape.intermediate + 2 * shape.num_heads * shape.head_dim)
    step = config.sampling.max_rows * (4 * 4 * shape.vocab + 2 * width * config.sampling.max_context * keys)
    return max(append, step)
