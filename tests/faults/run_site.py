"""What the runs of the fault tests share: a small model and mailbox, and how two runs are compared."""

from __future__ import annotations

from hashlib import sha256

from safetensors.torch import load_file

from agent.grpo.checkpoint import latest_checkpoint, weights_file
from agent.grpo.metrics import read_metrics
from inbox_env.store import build_inbox
from inbox_env.synthetic import generate_inbox
from tests.agent.tiny import make_tokenizer, write_model_folder

TIMES = {"seconds", "sample_seconds", "train_seconds"}


def make_site(folder):
    """Return the folder with a base model and a mailbox in it."""
    write_model_folder(folder / "base", make_tokenizer())
    inbox = generate_inbox("train", 1, num_emails=100, num_questions=20)
    build_inbox(folder / "mail.db", inbox.name, inbox.emails, owner=inbox.owner)
    return folder


def weights_hash(run):
    """The hash over names and values; a file's header orders its metadata at random."""
    digest = sha256()
    for name, tensor in sorted(load_file(weights_file(latest_checkpoint(run))).items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


def rows(run):
    return [{k: v for k, v in row.items() if k not in TIMES} for row in read_metrics(run / "metrics.jsonl")]


def names(run):
    return sorted(path.name for path in (run / "checkpoints").iterdir())
