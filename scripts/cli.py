"""The `mailsleuth` command: finds the module of a subcommand, runs it, turns failures into one line and an exit code.

Imports a command's module only when that command is asked for, so that `--help` answers at once. Knows nothing of
what the commands do.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType, ModuleType
from typing import Any, NoReturn

from inbox_env.errors import ExitCode, MailsleuthError, ResourceError, StoppedError, UsageError
from inbox_env.redaction import without_secrets
from scripts.inbox_names import with_inbox_names

EXIT_BUG = 1
EXIT_BROKEN_PIPE = 128 + signal.SIGPIPE if hasattr(signal, "SIGPIPE") else 141


@dataclass(frozen=True, slots=True)
class Command:
    """Where a subcommand lives; `help` repeats the first line of the module's docstring."""

    module: str
    help: str
    is_async: bool = False  # asyncio handles an interrupt itself, as long as nobody else does


COMMANDS = {
    "import": Command("scripts.import_mail", "Import mail from files into a mailbox."),
    "inboxes": Command("scripts.inboxes", "List the inboxes of a mailbox, or set an owner."),
    "stats": Command("scripts.stats", "Show the figures of the inboxes of a mailbox."),
    "forget": Command(
        "scripts.forget", "Delete an inbox from a mailbox, and prove that nothing of it remains in the file."
    ),
    "doctor": Command("scripts.doctor", "Check that a mailbox is whole, or say whether to believe a training run."),
    "search": Command("scripts.search", "Search an inbox by keywords, as the agent does."),
    "read": Command("scripts.read", "Print one mail of an inbox."),
    "play": Command("scripts.play", "Ask an inbox a question and watch a policy look for the answer.", is_async=True),
    "ask": Command(
        "scripts.ask", "Ask an inbox a question and print the answer with the mails that hold it.", is_async=True
    ),
    "view": Command(
        "scripts.view",
        "Look into runs and trajectory files: curves, groups, episodes step by step, tokens.",
        is_async=True,
    ),
    "train": Command("scripts.train_email_agent", "Train an agent to find the right email.", is_async=True),
    "bench": Command("scripts.benchmark", "Compare policies on the same questions.", is_async=True),
    "judge-audit": Command("scripts.judge_audit", "Measure how far a judge can be believed.", is_async=True),
    "questions": Command(
        "scripts.generate_questions", "Generate questions with known answers from a mailbox.", is_async=True
    ),
    "pretrain": Command(
        "scripts.pretrain_base",
        "Train the laptop base model from scratch: tokenizer, copy drills, warm start on demonstrations.",
        is_async=True,
    ),
    "report": Command("scripts.report", "Write the report of a finished run."),
    "export": Command(
        "scripts.export", "Export a trained model: its adapter, or merged into its base; push it to the hub."
    ),
    "serve": Command(
        "scripts.serve",
        "Serve an inbox (MCP) or a trained agent's model (OpenAI's protocol), or print a training's vLLM server.",
    ),
    "bench-system": Command("scripts.bench_system", "Measure the speed of one part of the system.", is_async=True),
}

GO_ON = {
    "bench": "the same command plays what is missing",
    "import": "the same command goes on from there",
    "pretrain": "the same command goes on from there",
    "train": "the same command with --resume goes on",
}

EXTRA_OF_PACKAGE = {
    "torch": "train",
    "transformers": "train",
    "tokenizers": "train",
    "safetensors": "train",
    "psutil": "train",
    "httpx": "train",
    "peft": "train",
    "bitsandbytes": "gpu",
    "unsloth": "gpu",
    "vllm": "gpu",
    "pyarrow": "hub",
    "imap_tools": "imap",
    "keyring": "imap",
    "litellm": "api",
    "stamina": "api",
    "wandb": "track",
    "tensorboard": "track",
    "tantivy": "bench",
}

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EMFILE, errno.ENFILE}


class _Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line, like every other failure."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Return the arguments; of an unknown option only the name is repeated: its value may be a key."""
        known, unknown = self.parse_known_args(args, namespace)
        if unknown:
            options = [word.partition("=")[0] for word in unknown if word.startswith("-")]
            self.error(f"unknown option {options[0]}" if options else f"too many arguments, from {unknown[0]!r} on")
        return known

    def error(self, message: str) -> NoReturn:
        raise UsageError(1, message, next_step=f"see {self.prog} --help")


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit code of the command line `argv` (default: the process's own)."""
    try:
        code = _explained(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader left (`| head`). Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE


def _explained(arguments: list[str]) -> int:
    """Run the command line; a failure is printed as one line. Only a reader that left is raised on."""
    is_debug = "--debug" in arguments
    stops: list[ExitCode] = []
    try:
        return _dispatch(arguments, stops)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else ExitCode.OK
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        return _fail(_interrupted(arguments), ExitCode.INTERRUPTED, is_debug)
    except Exception as error:
        if stops:  # SQLite swallows what a signal raised in one of its callbacks, and then fails itself
            is_interrupt = stops[0] == ExitCode.INTERRUPTED
            return _fail(_interrupted(arguments), stops[0], is_debug) if is_interrupt else stops[0]
        known = _as_no_text(error, arguments) or _as_known(error)
        return _fail(known.line(), known.exit_code, is_debug) if known else _fail(_bug_line(error), EXIT_BUG, is_debug)


def _interrupted(arguments: list[str]) -> str:
    """Return what an interrupted command says: which it was, and how to go on where that is possible."""
    name = next((word for word in arguments if word in COMMANDS), "")
    return StoppedError(ExitCode.INTERRUPTED, "interrupted", where=name, next_step=GO_ON.get(name, "")).line()


def _dispatch(arguments: list[str], stops: list[ExitCode]) -> int:
    num_leading = next((i for i, word in enumerate(arguments) if not word.startswith("-")), len(arguments))
    _top_parser().parse_args(arguments[:num_leading])  # answers --help and --version
    if num_leading == len(arguments):
        _top_parser().print_help(sys.stderr)
        return ExitCode.USAGE
    name, rest = arguments[num_leading], arguments[num_leading + 1 :]
    if any("\0" in word for word in rest):
        raise UsageError(97, "a NUL character in an argument", next_step="leave it out")
    with _raise_on_signals(stops, is_async=name in COMMANDS and COMMANDS[name].is_async):
        module = _load(name)
        args = command_parser(name, module).parse_args(rest)
        return int(module.run(with_inbox_names(args)))


def command_parser(name: str, module: ModuleType) -> argparse.ArgumentParser:
    """Return the parser of one command: the module's own arguments and `--debug`."""
    parser = _Parser(
        prog=f"mailsleuth {name}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback when something fails")
    return parser


def _top_parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    table = "\n".join(f"  {name:<{width}}  {command.help}" for name, command in COMMANDS.items())
    parser = _Parser(
        prog="mailsleuth",
        usage="mailsleuth [--help] [--version] [--debug] COMMAND ...",
        description="Train an agent to find the right email, and ask it.",
        epilog=f"commands:\n{table}\n\n'mailsleuth COMMAND --help' explains one of them.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_PrintVersion, nargs=0, help="print the version and exit")
    parser.add_argument("--debug", action="store_true", help="show the traceback when something fails")
    return parser


class _PrintVersion(argparse.Action):
    """`--version`, which looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        print(f"mailsleuth {version('mailsleuth')}")
        parser.exit()


def _load(name: str) -> ModuleType:
    if name not in COMMANDS:
        raise UsageError(2, f"no such command: {name}", next_step=_suggestion(name))
    return importlib.import_module(COMMANDS[name].module)


def _suggestion(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, COMMANDS, n=1)
    return f"did you mean '{close[0]}'?" if close else "see mailsleuth --help"


def _as_no_text(error: Exception, arguments: list[str]) -> UsageError | None:
    """Return what to say when a path that was given has bytes that are no text, where SQLite or JSON needs text."""
    words = [word for word in arguments if any("\ud800" <= char <= "\udfff" for char in word)]
    if not isinstance(error, UnicodeEncodeError) or not words:
        return None
    return UsageError(98, "a name with bytes that are no text", where=", ".join(words), next_step="rename it")


def _as_known(error: Exception) -> MailsleuthError | None:
    """Return `error` as something the user can mend, or None when it is a bug."""
    if isinstance(error, MailsleuthError):
        return error
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").partition(".")[0]
        extra = EXTRA_OF_PACKAGE.get(package)
        if extra is None:
            return None
        return UsageError(
            3, f"this needs the package {package}", next_step=f"in the project: pip install -e '.[{extra}]'"
        )
    if isinstance(error, MemoryError):
        return ResourceError(4, "out of memory", next_step="use a smaller batch, or a machine with more memory")
    if isinstance(error, OSError):
        return _as_known_os_error(error)
    return None


def _as_known_os_error(error: OSError) -> MailsleuthError | None:
    where = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
    reason = error.strerror or "input or output failed"
    if error.errno in _NO_ROOM:
        return ResourceError(5, reason, where=where, next_step="make room and run it again")
    return UsageError(6, reason, where=where, next_step="check the path and its permissions") if where else None


def _bug_line(error: Exception) -> str:
    text = without_secrets(" ".join(str(error).split()))[:160]
    return f"error[E-BUG-00]: {type(error).__name__}: {text} - run with --debug for the traceback"


def _fail(line: str, code: int, is_debug: bool) -> int:
    if is_debug:
        import traceback

        print(without_secrets(traceback.format_exc()), end="", file=sys.stderr)
    from scripts.terminal import safe_line

    print(safe_line(line), file=sys.stderr)
    return int(code)


@contextmanager
def _raise_on_signals(stops: list[ExitCode], *, is_async: bool) -> Iterator[None]:
    """Let SIGTERM unwind as exit 143, so that `finally` blocks run, and note in `stops` which signals came.

    An interrupt is noted too, unless asyncio is to handle it. A command may install handlers of its own.
    """

    def leave(signum: int, _frame: FrameType | None) -> NoReturn:
        code = ExitCode.INTERRUPTED if signum == signal.SIGINT else ExitCode.TERMINATED
        stops.append(code)
        raise KeyboardInterrupt if code == ExitCode.INTERRUPTED else SystemExit(code)

    signums = [signal.SIGTERM]
    if not is_async and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signums.append(signal.SIGINT)
    try:
        before = [signal.signal(signum, leave) for signum in signums]
    except ValueError:  # not the main thread: signals are the caller's business
        yield
        return
    try:
        yield
    finally:
        for signum, handler in zip(signums, before, strict=True):
            signal.signal(signum, handler)
