"""`mailsleuth questions --writer`: estimate, consent, writing and proving by a model, files, counts.

Beside FILE it keeps FILE.rejects.jsonl (each draft that became no question, with the reason) and FILE.replies.sqlite
(what the models said and what that cost): the same command goes on from there after whatever ended it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from agent.policies.chat_models import ChatSpec, parse_chat_spec, sends_to
from agent.policy import Usage
from agent.question_writer.asking import Asker
from agent.question_writer.batches import BATCH_MAILS, Batches
from agent.question_writer.estimate import Estimate, Tokens, estimate
from agent.question_writer.generate import QuestionWriter, Wanted, Written
from agent.question_writer.mails import MAX_MAIL_CHARS, askable_mails
from agent.question_writer.models import CallLimits, make_models
from inbox_env.errors import ExitCode, UpstreamError, UsageError
from inbox_env.inbox import Inbox
from inbox_env.leak_report import measure_leaks
from inbox_env.lock import mailbox_lock
from inbox_env.store import EmailStore
from rewards.judge_cache import JudgeCache
from scripts.benchmark_costs import token_cost
from scripts.consent import confirm_lines
from scripts.question_files import write_rows, write_whole
from scripts.terminal import console, plural, safe_line

REJECTS, REPLIES = "rejects.jsonl", "replies.sqlite"


def write_by_model(args: argparse.Namespace) -> int:
    """Print the estimate and, unless that is all, write the questions of every inbox; return the exit code."""
    writer, solver = _chat(args.writer), _chat(args.solver or args.writer)
    if args.budget is not None and None in (token_cost(writer, 1, 1), token_cost(solver, 1, 1)):
        raise UsageError(10, "no price is known for the model", next_step="set --max-calls in place of --budget")
    store = EmailStore.open(args.mailbox)
    try:
        batches = {name: _batches(store, name, args.seed) for name in dict.fromkeys(args.inbox)}
        total = _estimate(store, batches, args.count)
        _print_estimate(total, writer, solver)
        _print_spent(_beside(args.out, REPLIES))
        if args.dry_run:
            _say("nothing was sent")
            return ExitCode.OK
        _confirm(args, total, list(batches))
        with mailbox_lock(args.out), closing(JudgeCache(_beside(args.out, REPLIES))) as ledger:
            return _write(store, batches, args, ledger)
    finally:
        store.close()


def _chat(spec: str) -> ChatSpec:
    chat = parse_chat_spec(spec)
    if chat is None:
        next_step = "write api:PROVIDER/MODEL or openai:URL#MODEL"
        raise UsageError(11, f"{spec!r} names no chat model", next_step=next_step)
    return chat


def _batches(store: EmailStore, name: str, seed: int) -> Batches:
    mails = askable_mails(store, name)
    _say(f"{name}: {plural(len(mails), 'mail')} to ask about, {mails[0].sent} to {mails[-1].sent}")
    return Batches(store, name, mails, seed)


def _estimate(store: EmailStore, batches: Mapping[str, Batches], count: int) -> Estimate:
    estimates = (estimate(one, store.info(name).owner, count) for name, one in batches.items())
    return sum(estimates, Estimate(0, Tokens(), Tokens()))


def _print_estimate(total: Estimate, writer: ChatSpec, solver: ChatSpec) -> None:
    costs = [
        token_cost(chat, tokens.num_read, tokens.num_written)
        for chat, tokens in ((writer, total.writing), (solver, total.proving))
    ]
    known = [cost for cost in costs if cost is not None]
    cost = f"about {sum(known):.2f} dollars" if len(known) == len(costs) else "no price is known"
    both = total.writing + total.proving
    calls = f"{both.num_calls:,} calls ({total.writing.num_calls:,} to write, {total.proving.num_calls:,} to prove)"
    tokens = f"{both.num_read:,} tokens to read and {both.num_written:,} to write"
    _say(f"about {plural(total.num_batches, 'batch', 'batches')}, {calls}, {tokens}: {cost}")


def _print_spent(replies: Path) -> None:
    """Say what earlier runs took: what they were told is not asked for again, and a budget counts it."""
    if not replies.is_file():
        return
    with closing(JudgeCache(replies)) as ledger:
        spent = ledger.spent()
    _say(f"so far {plural(spent.num_calls, 'call')} and {spent.cost:.4f} dollars; what was said is not asked for again")


def _confirm(args: argparse.Namespace, total: Estimate, names: Sequence[str]) -> None:
    """Say what leaves the machine, and return when that was agreed to."""
    what = (
        f"mails of {', '.join(names)} (about {plural(total.num_batches, 'batch', 'batches')} of {BATCH_MAILS} and "
        f"those that searches find, each headers and text up to {MAX_MAIL_CHARS:,} characters) and questions about them"
    )
    hosts = dict.fromkeys(map(sends_to, (args.writer, args.solver or args.writer)))
    confirm_lines({host: f"{what} go to {host}" for host in hosts}, is_agreed=args.yes_send)


def _write(store: EmailStore, batches: Mapping[str, Batches], args: argparse.Namespace, ledger: JudgeCache) -> int:
    limits = CallLimits(
        concurrency=args.concurrency, max_tokens=args.max_tokens, max_calls=args.max_calls, max_cost=args.budget
    )
    before = ledger.spent()
    models = make_models(args.writer, args.solver or args.writer, ledger, limits, seed=args.seed)
    writer, solver = (Asker(model, ledger) for model in models)
    wanted = Wanted(args.count, args.seed, args.split, args.min_realism)
    written: list[Written] = []
    for name, these in batches.items():
        found = asyncio.run(QuestionWriter(Inbox(store, name), these, wanted, writer, solver).write(_progress))
        written.append(found)
        if found.stop is not None:
            break
    spent, usage = ledger.spent(), sum((model.usage for model in models), Usage())
    _keep(args.out, written)
    cost = f", {spent.cost - before.cost:.4f} dollars" if spent.cost > before.cost else ""
    _say(
        f"{plural(spent.num_calls - before.num_calls, 'call')}, {usage.prompt_tokens:,} tokens read and "
        f"{usage.completion_tokens:,} written{cost}"
    )
    return _conclude(store, args, written)


def _keep(out: Path, written: Sequence[Written]) -> None:
    """Write the questions, if any, and every rejection."""
    questions = [question for one in written for question in one.questions]
    if questions:
        write_whole(out, questions)
    rows = [
        {"inbox": one.inbox, **asdict(rejection)} for one in written for rejection in (*one.failures, *one.rejections)
    ]
    write_rows(_beside(out, REJECTS), rows)


def _conclude(store: EmailStore, args: argparse.Namespace, written: Sequence[Written]) -> int:
    """Print the counts; raise what stopped the run."""
    questions = [question for one in written for question in one.questions]
    for one in written:
        _say(one.line())
        if one.stop is None and len(one.questions) < args.count:
            _say(f"{one.inbox}: its mail gives {len(one.questions):,} questions, not {args.count:,}")
    if questions:
        for line in (*measure_leaks(store, questions).lines(), f"wrote {args.out}"):
            _say(line)
    rejects = _beside(args.out, REJECTS)
    if (stop := written[-1].stop) is not None:
        raise stop
    if not questions:
        next_step = "see the reasons there, or try another model"
        raise UpstreamError(12, "no draft became a question", where=str(rejects), next_step=next_step)
    return ExitCode.OK


def _beside(out: Path, suffix: str) -> Path:
    return out.with_name(f"{out.name}.{suffix}")


def _progress(line: str) -> None:
    print(safe_line(line), file=sys.stderr)


def _say(line: str) -> None:
    console().print(safe_line(line))
