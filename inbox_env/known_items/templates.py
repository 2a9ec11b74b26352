"""The sentences of known-item questions, by what is asked and how the mail went. English; words only, no logic.

`{who}` is the person, `{topic}` what it is about, `{when}` a rough time or nothing, `{noun}` what a place is called.
Words like "answer" and "pass on" say how the mail went (a reply, a forward), which its own text does not.
"""

from __future__ import annotations

from types import MappingProxyType

RECEIVED = (
    "What did {who} write about {topic} {when}?",
    "What did {who} tell me about {topic} {when}?",
    "What did {who} say about {topic} {when}?",
    "Where is the mail in which {who} mentions {topic}? It came {when}.",
    "{who} sent me something about {topic} {when}. Which mail was it?",
    "Find the message that {who} sent me {when} about {topic}.",
    "I need the note that {who} wrote about {topic} {when}.",
    "Which mail did I get from {who} about {topic} {when}?",
    "I am looking for what {who} had to say on {topic} {when}.",
)
OVERHEARD = (
    "What did {who} write about {topic} {when}?",
    "What did {who} say about {topic} {when}?",
    "Where is the mail in which {who} mentions {topic}? It came {when}.",
    "I need the note that {who} wrote about {topic} {when}.",
    "I am looking for what {who} had to say on {topic} {when}.",
)
COPIED = (
    "I only got a copy of what {who} wrote to others about {topic} {when}. Which mail was it?",
    "Find the message about {topic} on which {who} copied me {when}.",
)
SENT = (
    "What did I write to {who} about {topic} {when}?",
    "What did I tell {who} about {topic} {when}?",
    "Where is the mail I sent to {who} about {topic}? It must have been {when}.",
    "Find the message that I sent to {who} {when} about {topic}.",
    "I need the note that I wrote to {who} about {topic} {when}.",
    "Which mail did I send to {who} about {topic} {when}?",
)
REPLIED = (
    "What did {who} answer me about {topic} {when}?",
    "What was the response of {who} about {topic} {when}?",
    "Find the reply that I got from {who} about {topic} {when}.",
)
I_REPLIED = (
    "What did I answer {who} about {topic} {when}?",
    "Find the reply that I gave {who} about {topic} {when}.",
)
FORWARDED = (
    "What did {who} remark on passing something on to me about {topic} {when}?",
    "{who} passed something on to me about {topic} {when}. Which mail was it?",
)
TO_SEVERAL = (
    "What did {who} let several of us know about {topic} {when}?",
    "Which circular did {who} send round about {topic} {when}?",
)
UNNAMED = (
    "Somebody wrote about {topic} {when}. Which mail was it?",
    "In which mail did I read about {topic} {when}?",
    "Find the message that I got about {topic} {when}.",
)
SENDER = (
    "Who wrote about {topic} {when}?",
    "From whom did I hear about {topic} {when}?",
    "Who was it that mentioned {topic} in a mail {when}?",
)
VALUES = MappingProxyType(
    {
        "amount": (
            "How much money does {who} mention in the mail about {topic} {when}?",
            "What amount did {who} name when writing about {topic} {when}?",
            "Which sum is in what {who} wrote about {topic} {when}?",
        ),
        "date": (
            "What date did {who} give when writing about {topic} {when}?",
            "Which calendar day does {who} name in the mail about {topic} {when}?",
        ),
        "time": (
            "What time of day did {who} name when writing about {topic} {when}?",
            "Which hour did {who} give in the mail about {topic} {when}?",
        ),
        "phone": (
            "Which phone number did {who} give in the mail about {topic} {when}?",
            "Under which number can one call, as {who} wrote about {topic} {when}?",
        ),
        "place": (
            "Which {noun} did {who} name when writing about {topic} {when}?",
            "What {noun} does {who} mention in the mail about {topic} {when}?",
        ),
    }
)
MY_VALUES = MappingProxyType(
    {
        "amount": (
            "How much money did I mention to {who} in the mail about {topic} {when}?",
            "What amount did I name when I wrote to {who} about {topic} {when}?",
        ),
        "date": ("What date did I give {who} when I wrote about {topic} {when}?",),
        "time": ("What time of day did I name to {who} when I wrote about {topic} {when}?",),
        "phone": ("Which phone number did I give {who} in the mail about {topic} {when}?",),
        "place": ("Which {noun} did I name to {who} when I wrote about {topic} {when}?",),
    }
)
EXCHANGED = (
    "What did {who} write to me about {topic} {when}, and what did I write back?",
    "Find both the mail that I got from {who} about {topic} {when} and my answer to it.",
)
I_EXCHANGED = (
    "What did I write to {who} about {topic} {when}, and what came back?",
    "Find both the mail that I sent to {who} about {topic} {when} and the answer to it.",
)
FIRST = (
    "Who wrote about {topic} first, {who} or {other}?",
    "Who was earlier to bring up {topic}, {who} or {other}?",
)

ALL = (
    *(*RECEIVED, *OVERHEARD, *SENT, *REPLIED, *I_REPLIED, *FORWARDED, *TO_SEVERAL, *COPIED, *UNNAMED, *SENDER, *FIRST),
    *(*EXCHANGED, *I_EXCHANGED),
    *(text for texts in (*VALUES.values(), *MY_VALUES.values()) for text in texts),
)
