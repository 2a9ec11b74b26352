"""Deterministic inboxes with questions: for tests, benchmarks and training without anybody's mail."""

from inbox_env.synthetic.generate import SyntheticInbox, generate_inbox

__all__ = ["SyntheticInbox", "generate_inbox"]
