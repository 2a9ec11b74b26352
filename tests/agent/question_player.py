"""A chat model that writes and proves questions about an invented inbox, behind a real server on loopback.

It knows the inbox's own questions. As the writer it drafts those whose mails it is shown; as the solver it searches for
words of their mails, and answers only when it is shown them. `writer` and `solver` bend what it says.
"""

from __future__ import annotations

import json
import re
from contextlib import contextmanager

from agent.question_writer.mails import shown
from inbox_env.known_items.words import content_words
from inbox_env.search.folding import words
from inbox_env.store import build_inbox
from inbox_env.synthetic.generate import generate_inbox
from tests.agent.chat_server import completion, serving

_MAIL = re.compile(r"^=== mail (\d+) \w+ ===\n(.*?)\n=== mail \1 \w+ ===$", re.MULTILINE | re.DOTALL)
_QUESTION = re.compile(r"^=== question \w+ ===\n(.*?)\n=== question \w+ ===$", re.MULTILINE | re.DOTALL)
REAL = 0.8


class Player:
    """Both models. `writer(drafts)` and `solver(question, reply)` return what is said in place of the honest reply:

    drafts, an object, a text, or a function of the handler that replies itself.
    """

    def __init__(self, seed=1, num_emails=120, num_questions=80, split="dev"):
        self.inbox = generate_inbox(split, seed, num_emails=num_emails, num_questions=num_questions)
        self.email_of = {shown(one, self.inbox.owner): one for one in self.inbox.emails}
        self.by_id = {one.message_id: one for one in self.inbox.emails}
        self.by_text = {one.question: one for one in self.inbox.questions}
        self.writer = lambda drafts: drafts
        self.solver = lambda question, reply: reply
        self.model = "m"

    def build(self, path, name="me"):
        build_inbox(path, name, self.inbox.emails, owner=self.inbox.owner)
        return path

    def act(self, handler):
        system, user = (message["content"] for message in handler.asked["messages"])
        said = self.say(system, user)
        if callable(said):
            said(handler)
        else:
            handler.reply(200, completion(text=said if isinstance(said, str) else json.dumps(said), model=self.model))

    def say(self, system, user):
        mails = [self.email_of[text] for _, text in _MAIL.findall(user)]
        if system.startswith("You write questions"):
            drafts = self.writer([draft for one in self.inbox.questions if (draft := self.draft(one, mails))])
            return {"drafts": drafts[:12]} if isinstance(drafts, list) else drafts
        text = _QUESTION.search(user)[1]
        reply = self.answer(text, mails) if mails else self.searches(text)
        return self.solver(text, reply)

    def draft(self, question, mails):
        """Return the draft of one of the inbox's questions, or None when these mails do not hold it."""
        places = {one.message_id: place for place, one in enumerate(mails, 1)}
        if not question.answerable:
            near = max(mails, key=lambda one: _num_shared(question, one))
            place = places[near.message_id] if _num_shared(question, near) >= 3 else None
            draft = {"kind": "unanswerable", "question": question.question, "answer": None, "near": place}
            return draft if place else None
        if question.kind == "distractor" or not set(question.message_ids) <= places.keys():
            return None
        parts = question.answer.split(" and ") if question.kind == "multi" else [question.answer]
        quotes = [
            {"mail": places[one], "words": _line(self.by_id[one], part)}
            for one, part in zip(question.message_ids, parts, strict=True)
        ]
        kind = "several" if question.kind == "multi" else "single"
        return {"kind": kind, "question": question.question, "answer": question.answer, "quotes": quotes}

    def searches(self, text):
        question = self.by_text.get(text)
        gold = [self.by_id[one] for one in question.message_ids] if question else []
        searches = [[one.sender.name.split()[-1], *one.subject.split()[-1:]] for one in gold]
        return {"realism": REAL, "searches": searches or [["nothing"]]}

    def answer(self, text, mails):
        question = self.by_text.get(text)
        ids = {one.message_id: place for place, one in enumerate(mails, 1)}
        gold = [ids[one] for one in question.message_ids if one in ids] if question else []
        is_whole = question is not None and len(gold) == len(question.message_ids) > 0
        return {"answer": question.answer if is_whole else None, "mails": gold}


def _line(email, part):
    return next(line for line in email.body.split("\n") if part in line)


def _num_shared(question, email):
    return len(set(content_words(question.question)) & set(words(f"{email.subject} {email.body} {email.sender.name}")))


@contextmanager
def playing(player):
    """The player behind a server."""
    with serving(player.act) as server:
        yield server
