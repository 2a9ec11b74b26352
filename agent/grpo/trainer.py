"""The GRPO loop: play groups, grade them, learn from those that differ, log, save. It only names its steps.

Everything that decides what happens next (weights, optimiser, question order, step) is in the checkpoint; random
streams follow from the seed and the step, so that a resumed run equals an undisturbed one.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from agent.arena import Arena
from agent.base_identity import base_sha256
from agent.chat_format import ChatFormat
from agent.grpo.canary import Canary
from agent.grpo.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint
from agent.grpo.config import TrainConfig
from agent.grpo.distributed import ALONE, Peers, named_lost_peers
from agent.grpo.divergence import is_finite, mark_best_finite
from agent.grpo.groups import Group, training_samples, write_groups
from agent.grpo.guards import RunGuards
from agent.grpo.judge_meter import JudgeMeter
from agent.grpo.kept_tokens import KeptTokens
from agent.grpo.live_doctor import LiveDoctor
from agent.grpo.metrics import MetricsWriter
from agent.grpo.optimizer import make_optimizer
from agent.grpo.playing import play_once, play_step
from agent.grpo.prefetch import Batch, Prefetch
from agent.grpo.question_order import QuestionOrder
from agent.grpo.reference import make_reference
from agent.grpo.refusals import check_rewards, check_thresholds, check_update
from agent.grpo.samples import TrainingSample
from agent.grpo.sharding import gathered, make_shards
from agent.grpo.step_metrics import rollout_metrics, update_metrics
from agent.grpo.stop_signals import GivenUp, StopRequest, cancel_grace
from agent.grpo.update import Update, update
from agent.lora import is_adapted
from agent.make_grader import make_grader
from agent.out_of_memory import halve_on_out_of_memory, named_device_errors
from agent.policies.local import LocalPolicy
from agent.rollout import Rollout
from agent.sampling.make_engine import PROBE_TEXT, make_engine
from agent.segment_attention import enable_segment_attention
from inbox_env.errors import DivergedError, ResourceError, UpstreamError
from inbox_env.questions import Question
from rewards.ladder import correctness

OnStep = Callable[[dict[str, float]], None]

_log = logging.getLogger(__name__)


class GrpoTrainer:
    """Trains `model` in place on the questions of `train`; writes metrics, trajectories and checkpoints to `run`."""

    def __init__(
        self,
        config: TrainConfig,
        model: PreTrainedModel,
        chat: ChatFormat,
        train: Arena,
        dev: Arena,
        run: Path,
        peers: Peers = ALONE,
    ) -> None:
        self.config, self.model, self.run, self._peers = config, model, run, peers
        self.step, self.seconds, self.generated_tokens, self.trained_tokens = 0, 0.0, 0, 0
        self._chat, self._train, self._dev = chat, train, dev
        enable_segment_attention(model)
        self._reference = make_reference(model) if config.loss.needs_reference else None
        self.engine = make_engine(config, model, chat, run, peers)
        self._shards = make_shards(model, config.grpo.strategy, peers)
        self._optimizer = make_optimizer(model, config.grpo, self._shards)
        self._base = base_sha256(model) if is_adapted(model) else None
        is_middling = config.grpo.curriculum == "middling"
        self._order = QuestionOrder(train.questions, config.run.seed, prefer_middling=is_middling)
        mine = run if peers.is_first else None  # what only one process writes
        self.grader = make_grader(config.reward, config.judge, mine, seed=config.run.seed)
        self._judging = JudgeMeter(self.grader, peers)
        self._micro_batch_tokens = config.grpo.micro_batch_tokens
        self._before_step: tuple[int, str] | None = None
        self._prefetch, self._order_before = Prefetch(config.grpo.max_staleness), self._order.state()
        self._doctor = LiveDoctor(mine, chat, config.grpo.stop_on)
        self._guards = RunGuards(config.guards)
        self._canary = Canary(model, chat.plain_ids(PROBE_TEXT)[: config.sampling.max_context - 2], peers)
        self._tokens = KeptTokens(mine, chat, config.run.kept_token_groups)

    def resume(self) -> bool:
        """Go on from the run's newest whole checkpoint; returns whether there was one."""
        path = latest_checkpoint(self.run)
        if path is None:
            return False
        state = load_checkpoint(path, self.model, self._optimizer, base=self._base)
        self.step, self.seconds = state["step"], state["seconds"]
        self.generated_tokens, self.trained_tokens = state["generated_tokens"], state["trained_tokens"]
        self._order.restore(state["order"])
        if "guards" in state:  # a run that was begun before there were any goes on as well
            self._guards.restore(state["guards"])
            self._canary.restore(state.get("canary", self._canary.state()))
        self.engine.refresh()
        return True

    def train(self, on_step: OnStep | None = None, stop: StopRequest | None = None) -> None:
        """Take the remaining steps, or until `stop` is made: then the run is saved and left.

        Raises DivergedError when several steps in a row were refused, when rewards cannot be trusted, or when a
        threshold says so; the last good checkpoint is then named in `best_finite.json`.
        """
        path = self.run / "metrics.jsonl" if self._peers.is_first else None
        metrics, stop = MetricsWriter(path, after_step=self.step), stop or StopRequest()
        try:
            with named_device_errors(), named_lost_peers():
                self._canary.begin(self.engine)
                while not self._is_done():
                    row = self._take_step()
                    metrics.write(row)
                    if on_step:
                        on_step(row)
                    self._check_thresholds(row)
                    self._save_or_stop(stop)
        except DivergedError:
            if self._peers.is_first:
                mark_best_finite(self.run)
            raise
        except (GivenUp, UpstreamError, ResourceError):
            self._save_before_step()
            raise
        finally:
            metrics.close()

    def _save_or_stop(self, stop: StopRequest) -> None:
        if self._peers.is_any(stop.is_made):
            stop.signum = stop.signum or signal.SIGTERM
            cancel_grace()
        if stop.is_made or self._is_done():
            self.save()
        elif self.step % self.config.run.checkpoint_every == 0:
            try:
                self.save()
            except ResourceError as error:
                if not self.config.run.survive_full_disk:
                    raise
                _log.warning("step %d goes on without a checkpoint: %s", self.step, error)
        if stop.is_made:
            stop.leave()

    def _save_before_step(self) -> None:
        """Save the state before a step that was given up, unless its update has begun or there was none yet.

        Shards are not gathered for it: the others may not be there to give theirs.
        """
        if self._before_step is None or self._shards is not None:
            return
        self.step, state = self._before_step
        if self.step and self.step % self.config.run.checkpoint_every:
            self._write_checkpoint(json.loads(state))

    def save(self) -> Path:
        """Write a checkpoint of the current step; weights that are not finite never replace an older one."""
        if not is_finite(self.model):
            what, where = "the weights are not finite", f"step {self.step}"
            raise DivergedError(11, what, where=where, next_step="lower grpo.learning_rate and resume")
        return self._write_checkpoint(self._state())

    def _write_checkpoint(self, state: dict[str, Any]) -> Path:
        keep, optimizer = self.config.run.keep_checkpoints, gathered(self._optimizer)
        if not self._peers.is_first:
            return self.run
        return save_checkpoint(self.run, self.step, self.model, optimizer, state, keep_last=keep, base=self._base)

    def evaluate(self, arena: Arena, questions: tuple[Question, ...], name: str = "local") -> list[Rollout]:
        """Return one rollout of each question at the evaluation temperature."""
        policy = self.policy(name, seed=self.config.run.seed)
        with self.evaluating():
            return asyncio.run(play_once(policy, arena, questions, self.grader, self.config))

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Sample at the evaluation temperature for as long as the context lasts."""
        sampling_temperature, self.engine.temperature = self.engine.temperature, self.config.eval.temperature
        try:
            yield
        finally:
            self.engine.temperature = sampling_temperature

    def policy(self, name: str, seed: int) -> LocalPolicy:
        """Return the model as it is now as a policy."""
        return LocalPolicy(
            self.engine,
            self._chat,
            prompt=self.config.model.prompt,
            name=name,
            seed=seed,
            max_new_tokens=self.config.sampling.max_new_tokens,
        )

    def _take_step(self) -> dict[str, float]:
        started = time.monotonic()
        self._before_step = self.step, json.dumps(self._state())
        self.step += 1
        batch = self._prefetch.take(partial(self._play, self.step), self.step - 1)
        groups = list(batch.groups)
        played = time.monotonic()
        check_rewards(self._guards, groups, self.step)
        self._order_before = self._order.state()
        play_next = None if self.step >= self.config.grpo.steps else partial(self._play, self.step + 1)
        learnt = self._prefetch.train(partial(self._learn, batch), play_next, self.step - 1)
        self.engine.refresh()
        trained = time.monotonic()
        self._note(groups, learnt)
        row: dict[str, float] = {"step": self.step, **rollout_metrics(groups, self.config.reward.mode)}
        row |= self._canary.look(self.engine, self.step)
        row |= {**update_metrics(learnt), "learning_rate": self._optimizer.param_groups[0]["lr"]}
        row |= self._judging.row(groups)
        if self.config.grpo.max_staleness:
            row |= {"staleness": self.step - 1 - batch.policy_version, "stale_groups": self._prefetch.num_dropped}
        row |= {"sample_seconds": played - started, "train_seconds": trained - played}
        if self.config.eval.every and self.step % self.config.eval.every == 0:
            row["eval_accuracy"] = self._peers.first(self._dev_accuracy)
        row["seconds"] = self._peers.first(lambda: time.monotonic() - started)
        self.seconds += row["seconds"]
        self._doctor.look(groups, row)
        return row

    async def _play(self, step: int) -> list[Group]:
        policy = self.policy("trainee", seed=self.config.run.seed * 1_000_003 + step)
        return await play_step(policy, self._train, self._order, self.grader, self.config, self._peers.beside)

    def _learn(self, batch: Batch) -> Update:
        config = self.config
        for parameters in self._optimizer.param_groups:
            parameters["lr"] = config.grpo.learning_rate_at(self.step)
        samples = training_samples(
            batch.groups,
            batch.policy_version,
            scale=config.grpo.advantage_scale,
            baseline=config.grpo.baseline,
            is_cut_masked=config.grpo.truncated == "mask",
            only_spread=True,
        )
        self._before_step = None
        self._tokens.choose(batch.groups, mine := self._peers.share(samples))
        check_update(self._guards, learnt := self._update(mine), self.step, self.run if self._peers.is_first else None)
        return learnt

    def _update(self, samples: list[TrainingSample]) -> Update:
        """Take the step; a device without memory for it gets it in smaller micro-batches, from then on."""
        config = self.config
        longest = max((sample.num_inputs for sample in samples), default=1)
        take = partial(
            update,
            self.model,
            self._optimizer,
            samples,
            config.loss,
            temperature=config.sampling.temperature,
            grad_clip=config.grpo.grad_clip,
            reference=self._reference,
            num_updates=config.grpo.updates_per_step,
            max_sequence_tokens=config.max_sampled_tokens,
            share_prefixes=config.grpo.share_prefixes,
            shards=self._shards,
            guard=self._guards.spikes,
            on_scored=self._tokens.note,
            peers=self._peers,
        )
        if self._peers.size > 1:  # the others cannot know that one of them begins again
            return take(max_tokens=self._micro_batch_tokens)
        learnt, self._micro_batch_tokens = halve_on_out_of_memory(
            lambda max_tokens: take(max_tokens=max_tokens), self._micro_batch_tokens, longest
        )
        return learnt

    def _check_thresholds(self, row: dict[str, float]) -> None:
        try:
            self._doctor.check()
        except UpstreamError:  # an outage: what was learnt until now is good
            self.save()
            raise
        check_thresholds(self._guards, row, self.step)

    def _note(self, groups: list[Group], learnt: Update) -> None:
        """Count tokens, retire mastered questions and keep the trajectories with their rewards."""
        for group in groups:
            num_right = sum(correctness(r.trajectory, group.question, self.config.reward.mode) for r in group.rollouts)
            if group.question.is_labelled:
                self._order.note(group.question, num_right / len(group.rollouts))
            if num_right >= self.config.grpo.retire_at * len(group.rollouts):
                self._order.retire(group.question)
            self.generated_tokens += sum(sum(r.trace.action_mask) for r in group.rollouts if r.trace)
        self.trained_tokens += learnt.num_tokens
        if self.config.run.save_trajectories and self._peers.is_first:
            write_groups(self.run / "trajectories" / f"step-{self.step:06d}.jsonl", groups)
            self._tokens.write(self.step)

    def _dev_accuracy(self) -> float:
        questions = self._dev.questions[: self.config.eval.num_questions]
        rollouts = self.evaluate(self._dev, questions)
        right = [
            correctness(rollout.trajectory, question, self.config.reward.mode)
            for rollout, question in zip(rollouts, questions, strict=True)
        ]
        return sum(right) / len(right)

    def _is_done(self) -> bool:
        limit = self.config.grpo.max_seconds
        return self.step >= self.config.grpo.steps or (limit is not None and self.seconds >= limit)

    def _state(self) -> dict[str, Any]:
        order = self._order.state()
        if self._prefetch.is_ahead:  # what was played ahead is not saved: its questions come again
            order |= {name: self._order_before[name] for name in ("epoch", "position")}
        return {
            "seconds": self.seconds,
            "generated_tokens": self.generated_tokens,
            "trained_tokens": self.trained_tokens,
            "order": order,
            "guards": self._guards.state(),
            "canary": self._canary.state(),
        }
