"""The one exception family that a user may see: what went wrong, where, and what to do.

Knows nothing of mail or models. The command line turns it into one line on stderr and an exit code.
"""

from __future__ import annotations

from enum import IntEnum

from inbox_env.redaction import without_secrets


class ExitCode(IntEnum):
    """Documented process exit codes (README, "Exit codes")."""

    OK = 0
    USAGE = 2
    REJECTS = 3
    CORRUPT = 4
    RESOURCE = 5
    UPSTREAM = 6
    DIVERGED = 7
    INTERRUPTED = 130
    TERMINATED = 143


class MailsleuthError(Exception):
    """An error with a code, a place and a next step; `exit_code` is what the process returns."""

    exit_code = ExitCode.USAGE
    area = "USE"

    def __init__(self, number: int, what: str, *, where: str = "", next_step: str = "") -> None:
        self.code = f"E-{self.area}-{number:02d}"
        self.what, self.where, self.next_step = what, where, next_step
        super().__init__(" - ".join(part for part in (what, where, next_step) if part))

    def line(self) -> str:
        """The single line shown to the user, at most 300 characters, without line breaks."""
        text = without_secrets(" ".join(f"error[{self.code}]: {self}".split()))
        return text if len(text) <= 300 else text[:297] + "..."


class UsageError(MailsleuthError):
    """A wrong argument, path or configuration: the user can mend it."""


class CorruptError(MailsleuthError):
    """A database, index, checkpoint or model on disk that cannot be trusted."""

    exit_code = ExitCode.CORRUPT
    area = "DAT"


class ResourceError(MailsleuthError):
    """Disk, memory, lock or device is not there."""

    exit_code = ExitCode.RESOURCE
    area = "RES"


class StoppedError(MailsleuthError):
    """The user asked to stop: what was done so far is kept. `exit_code` says by which signal."""

    area = "STP"

    def __init__(self, exit_code: ExitCode, what: str, *, where: str = "", next_step: str = "") -> None:
        super().__init__(1, what, where=where, next_step=next_step)
        self.exit_code = exit_code


class UpstreamError(MailsleuthError):
    """A remote service (mail server, model API) failed for good."""

    exit_code = ExitCode.UPSTREAM
    area = "NET"


class DivergedError(MailsleuthError):
    """Training produced numbers that cannot be trusted."""

    exit_code = ExitCode.DIVERGED
    area = "TRN"
