"""TRL's GRPOTrainer on the workload of `bench_step`, set up as its users would for a small model on a CPU.

Its rollout function plays the turns with the trainer's own generation; what can be switched off that costs time and is
not asked for (gradient checkpointing, reports, checkpoints) is off. Knows nothing of how this project does it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from scripts.bench_sampler import Workload
from scripts.bench_step import GROUP_SIZE, LEARNING_RATE, PADDED_ROWS, Seconds, Stopwatch, step_seconds

NO_TOKEN = -1
WORD = "t0"


@dataclass(slots=True)
class TrlRun:
    """The seconds of each step, and how many tokens each trained on."""

    seconds: list[Seconds] = field(default_factory=list)
    num_trained: int = 0


def train_with_trl(
    model: Any,
    work: Workload,
    rewards: Sequence[float],
    num_steps: int,
    folder: str,
    after_each_step: Callable[[], None],
) -> TrlRun:
    """Train `model` for `num_steps` steps in TRL; `after_each_step` is called between them and not counted."""
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    from datasets import Dataset
    from transformers import PrinterCallback
    from transformers.utils import logging

    logging.set_verbosity_error()
    run, player = TrlRun(), _Player(work)
    trainer = _timed_trainer(player)(
        model=model,
        args=_settings(folder, len(work.appended), num_steps),
        reward_funcs=lambda completions, **_: list(rewards[: len(completions)]),
        train_dataset=Dataset.from_dict({"prompt": [WORD] * (len(work.appended) // GROUP_SIZE)}),
        processing_class=_tokenizer(model.config.vocab_size),
        callbacks=[_watch(run, player, after_each_step)],
        rollout_func=player.play,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.generation_config.eos_token_id = None  # both sides sample the same number of tokens
    trainer.eos_token_ids = [NO_TOKEN]
    trainer.train()
    run.num_trained = player.num_trained
    return run


def _settings(folder: str, num_rollouts: int, num_steps: int) -> Any:
    from trl import GRPOConfig

    return GRPOConfig(
        folder,
        per_device_train_batch_size=PADDED_ROWS,
        gradient_accumulation_steps=max(1, num_rollouts // PADDED_ROWS),
        num_generations=GROUP_SIZE,
        max_completion_length=768,
        max_steps=num_steps,
        learning_rate=LEARNING_RATE,
        lr_scheduler_type="constant",
        gradient_checkpointing=False,
        use_cpu=True,
        bf16=False,
        report_to="none",
        save_strategy="no",
        logging_steps=num_steps + 1,
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )


def _timed_trainer(player: _Player) -> Any:
    from trl import GRPOTrainer

    class Timed(GRPOTrainer):  # type: ignore[misc]  # TRL is not typed for us
        """Says how long it took until a step's batch was there: sampling, rewards and advantages."""

        def _generate_and_score_completions(self, inputs: Any) -> Any:
            watch = Stopwatch.start()
            batch = super()._generate_and_score_completions(inputs)
            player.prepared = watch.read()
            return batch

    return Timed


def _watch(run: TrlRun, player: _Player, after_each_step: Callable[[], None]) -> Any:
    from transformers import TrainerCallback

    class Watch(TrainerCallback):  # type: ignore[misc]  # transformers is not typed for us
        """Times each step."""

        def __init__(self) -> None:
            self.watch = Stopwatch.start()

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.watch = Stopwatch.start()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            whole, before = self.watch.read(), player.prepared
            training = whole[0] - before[0], whole[1] - before[1]
            run.seconds.append(step_seconds(player.sampling, training, whole))
            after_each_step()

    return Watch()


class _Player:
    """TRL's rollout function: the turns of all rows in lock-step, each from the whole sequence so far."""

    def __init__(self, work: Workload) -> None:
        self._work = work
        self.sampling = self.prepared = (0.0, 0.0)
        self.num_trained = 0

    def play(self, prompts: list[Any], trainer: Any) -> dict[str, Any]:
        work, watch = self._work, Stopwatch.start()
        contexts = [list(row[0]) for row in work.appended]
        masks: list[list[int]] = [[] for _ in contexts]
        for turn in range(len(work.appended[0])):
            if turn:
                for context, mask, row in zip(contexts, masks, work.appended, strict=True):
                    context += row[turn]
                    mask += [0] * len(row[turn])
            counts = [row[turn] for row in work.num_sampled]
            trainer.generation_config.max_new_tokens = max(counts)
            sampled, _ = trainer._generate_single_turn(contexts, None, {}, len(prompts))
            for context, mask, new, count in zip(contexts, masks, sampled, counts, strict=True):
                context += new[:count]
                mask += [1] * count
        starts = [len(row[0]) for row in work.appended]
        completions = [context[start:] for context, start in zip(contexts, starts, strict=True)]
        self.sampling = watch.read()
        self.num_trained = sum(map(sum, masks))
        prompt_ids = [row[0] for row in work.appended]
        return {"prompt_ids": prompt_ids, "completion_ids": completions, "logprobs": None, "env_mask": masks}


def _tokenizer(size: int) -> Any:
    """Return a tokenizer whose words are the ids: it is asked to decode, and its text is not looked at."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(WordLevel({f"t{number}": number for number in range(size)}, unk_token=WORD))
    special = {"pad_token": WORD, "unk_token": WORD, "eos_token": "t1"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)
