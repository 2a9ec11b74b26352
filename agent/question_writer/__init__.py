"""Questions about an inbox that a chat model writes, and that search and a second pass have to prove.

From mails to questions: `mails` (what can be asked about), `batches` (spread evenly over time), `drafts` (what the
model may reply), `checks` (what needs no model), `solve` (the second pass), `copies`, `generate` (all of it in order).
"""
