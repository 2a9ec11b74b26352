"""The parts of one mail's text, in the order in which a reader wants them: nothing is lost, little is repeated.

First what the sender wrote, then each mail that is forwarded in it, what can be read of attachments, and last what
was folded. Knows nothing of pages or tools.
"""

from __future__ import annotations

from inbox_env.emails import Email
from inbox_env.ingest.clean import Forwarded, fold_signature, split_forwards, split_quotes

FORWARDED = "[forwarded mail]"


def mail_parts(email: Email) -> list[str]:
    """Return the texts of a mail, each of which begins a page: its own, its attachments', and what was folded.

    A forwarded mail stands below the own text, under `FORWARDED` and its own headers.
    """
    text, quoted = split_quotes(email.body)
    own, forwards = split_forwards(text)
    own, signature = fold_signature(own)
    shown = "\n\n".join(part for part in (own, *map(_forwarded, forwards)) if part)
    attached = [f"[attachment {' '.join(one.name.split())}]\n{one.text}" for one in email.attachments if one.text]
    folded = "\n\n".join(part for part in (signature, quoted) if part)
    return [shown, *attached, *([folded] if folded else [])]


def _forwarded(mail: Forwarded) -> str:
    return "\n".join((FORWARDED, *mail.heading, *(("", mail.body) if mail.body else ())))
