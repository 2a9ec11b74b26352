"""A small inbox of a few mails, one batch of it, and drafts about them: what tests of checks and proofs share."""

from __future__ import annotations

from datetime import UTC, date, datetime

from agent.question_writer.batches import Batch
from inbox_env.emails import Address, Email
from inbox_env.inbox import Inbox
from inbox_env.store import EmailStore, build_inbox

ME, ANN, BOB = Address("Me Self", "me@x.org"), Address("Ann Lee", "ann@x.org"), Address("Bob Ray", "bob@x.org")
ASKED_ON = date(2001, 9, 1)
MAILS = (
    ("Wedding", ANN, "The wedding of my sister takes place at the  Villa\nRosa near Siena, dinner starts at 7 pm."),
    ("Invoice", BOB, "Please find enclosed the invoice for the new roof. The total due is $4,820 within 30 days."),
    ("Roof", BOB, "There was a mistake in the invoice for the roof. The total due is now $4,280, sorry about that."),
    ("Train", ANN, "My train arrives in Florence at platform 9 on the evening before the wedding of my sister."),
    ("Hotel", BOB, "I have booked two rooms for all of us in the Hotel Bellavista, breakfast is included there."),
    ("Weather", ANN, "It rains here every single day, and the garden looks like a lake. How is the weather with you?"),
)
PLACE = {
    "kind": "single",
    "question": "Where will Ann's sister get married?",
    "answer": "Villa Rosa",
    "accepted": ["the Villa Rosa", "Siena or Rome"],
    "quotes": [{"mail": 1, "words": "takes place at the Villa Rosa near Siena"}],
}
FIXED = {
    "kind": "correction",
    "question": "How much do I really owe Bob for having the house covered?",
    "answer": "$4,280",
    "quotes": [{"mail": 2, "words": "The total due is $4,820"}, {"mail": 3, "words": "The total due is now $4,280"}],
}
BOTH = {
    "kind": "several",
    "question": "Where do Ann's sister's guests celebrate, and where does Ann get off beforehand?",
    "answer": "Villa Rosa and Florence",
    "quotes": [{"mail": 1, "words": "at the Villa Rosa"}, {"mail": 4, "words": "arrives in Florence at platform 9"}],
}
ABSENT = {
    "kind": "unanswerable",
    "question": "Which flight does Ann's sister take to Siena?",
    "answer": None,
    "near": 1,
}


def make_inbox(folder, mails=MAILS, name="me"):
    emails = [
        Email(f"<{number}@x>", datetime(2001, 5, number, 9, tzinfo=UTC), sender, (ME,), subject, body)
        for number, (subject, sender, body) in enumerate(mails, 1)
    ]
    build_inbox(folder / "desk.db", name, emails, owner=ME)
    return Inbox(EmailStore.open(folder / "desk.db"), name)


def batch_of(inbox, number=1):
    mails = tuple(inbox.read(number, as_of=None) for number in range(1, inbox.num_emails + 1))
    return Batch(number, inbox.name, mails, ASKED_ON)
