"""Export a trained model: its adapter, or merged into its base; push it to the hub.

Nothing leaves this machine without --push, and with --dry-run nothing does: the files that would are listed. A model
that was trained on private mail is pushed only with --i-own-this-mail.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from inbox_env.errors import UsageError

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("run", type=Path, help="run folder (or model folder)")
    parser.add_argument("--out", type=Path, required=True, help="new folder for the exported model")
    parser.add_argument("--merged", action="store_true", help="add the adapter into the weights of its base model")
    parser.add_argument("--push", metavar="USER/NAME", help="upload the exported folder to the hub as a private model")
    parser.add_argument("--dry-run", action="store_true", help="list what would leave, and send nothing")
    parser.add_argument("--i-own-this-mail", action="store_true", help="push a model that was trained on private mail")


def run(args: argparse.Namespace) -> int:
    """Export, and push if asked to; returns 0."""
    from agent.model_export import export_model, files_to_push, is_own_mail, push

    if args.push and not _NAME.fullmatch(args.push):
        raise UsageError(92, f"not a name on the hub: {args.push}", next_step="write --push user/name")
    is_private = is_own_mail(args.run)
    if args.push and is_private and not (args.i_own_this_mail or args.dry_run):
        what = "the model was trained on private mail, or on mail that nothing says to be public"
        next_step = "look at --dry-run, then give --i-own-this-mail if that mail is yours to publish"
        raise UsageError(93, what, where=str(args.run), next_step=next_step)
    export_model(args.run, args.out, is_merged=args.merged)
    print(f"exported to {args.out}")
    if args.dry_run:
        _print_files(files_to_push(args.out), args.push, is_private)
    elif args.push:
        print(f"pushed to {push(args.out, args.push)}")
    return 0


def _print_files(files: list[Path], name: str | None, is_private: bool) -> None:
    print(f"would leave for {name or 'the hub'} (a private model there), {len(files)} files:")
    for path in files:
        print(f"  {path.stat().st_size:>14,}  {path.name}")
    print("nothing else: no mail, no question, no trajectory" + ("; needs --i-own-this-mail" if is_private else ""))
