"""The kinds of facts that invented mail tells, each with how mails word it and how people ask for it.

Mail and question words of a kind are chosen to differ, so that AND-ing a question's words finds little.
Placeholders: {topic} what it is about, {sender} who wrote, {value} the answer. Data, and one lookup in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from inbox_env.synthetic.values import ValueType

TopicSort = Literal["project", "town", "nobody"]


@dataclass(frozen=True, slots=True)
class FactKind:
    """One kind of fact: `topic` is the sort of name it is about ("nobody": only about its sender).

    `word` is what mails of this kind mostly say and questions about it never do.
    """

    name: str
    topic: TopicSort
    value: ValueType
    word: str
    subjects: tuple[str, ...]
    bodies: tuple[str, ...]
    asks: tuple[str, ...]
    corrections: tuple[str, ...] = ()


KINDS: tuple[FactKind, ...] = (
    FactKind(
        "invoice", "project", "money", "invoice",
        ("Invoice for {topic}", "{topic} invoice enclosed", "Invoice"),
        ("Please find enclosed our invoice for {topic}. The total due is {value}, payable within 30 days.",
         "Our invoice for {topic} is enclosed, total due {value}.",
         "As agreed I send the invoice for {topic}, the total due is {value}."),
        ("How much did {sender} bill us for {topic}?", "What do we owe {sender} on {topic}?",
         "How big is the bill that {sender} sent over {topic}?", "What does {sender} charge for {topic}?"),
        ("There was a mistake in my invoice for {topic}. The total due is now {value}.",),
    ),
    FactKind(
        "offer", "project", "money", "offer",
        ("Offer for {topic}", "Our offer on {topic}", "An offer"),
        ("We can do the {topic} work for {value}, taxes included.",
         "Our offer for {topic} stands at {value}, valid this month.",
         "We offer to take on {topic} for {value}."),
        ("What price did {sender} name for {topic}?", "For how much would {sender} take the {topic} job?",
         "What is {sender} asking to do {topic}?"),
        ("We have looked again at {topic} and can offer {value} instead.",),
    ),
    FactKind(
        "budget", "project", "money", "budget",
        ("{topic} budget approved", "Budget for {topic}", "Budget news"),
        ("The board has approved a budget of {value} for {topic}.",
         "Good news, {topic} has an approved budget of {value}.",
         "The budget for {topic} is approved at {value}."),
        ("How much money was granted to {topic}, going by {sender}?", "What can we spend on {topic}, says {sender}?",
         "What funds did {sender} get us for {topic}?"),
        ("The board has changed the {topic} budget to {value}.",),
    ),
    FactKind(
        "meeting", "project", "time", "meeting",
        ("Meeting on {topic}", "{topic} meeting", "Can we meet?"),
        ("Let us meet about {topic} on {day} at {value}.",
         "I have put our {topic} meeting on {day} at {value}.",
         "The meeting about {topic} is on {day} at {value}."),
        ("What time do I sit down with {sender} over {topic}?", "When does {sender} want to talk about {topic}?",
         "At what hour am I due with {sender} to discuss {topic}?"),
        ("I must move our {topic} meeting, it is now at {value}.",),
    ),
    FactKind(
        "room", "project", "room", "workshop",
        ("Room for the {topic} workshop", "{topic} workshop", "Workshop room"),
        ("The {topic} workshop will be held in room {value}.",
         "We have room {value} for the {topic} workshop.",
         "Please come to room {value} for the {topic} workshop."),
        ("Where in the building is {sender} doing the {topic} session?",
         "Which door do I go to for {topic} with {sender}?",
         "Where does {sender} hold the {topic} class?"),
        ("The {topic} workshop has moved, we now have room {value}.",),
    ),
    FactKind(
        "deadline", "project", "date", "draft",
        ("{topic} draft", "Your part of {topic}", "Draft needed"),
        ("Please send me your part of the {topic} draft by {value} at the latest.",
         "I need the {topic} draft no later than {value}.",
         "The draft for {topic} must be in by {value}."),
        ("When is {sender} expecting my piece of {topic}?", "How long do I have to write {topic} for {sender}?",
         "What is the last day to hand {sender} the {topic} paper?"),
        ("We have more time, I need the {topic} draft by {value} instead.",),
    ),
    FactKind(
        "lead", "project", "person", "lead",
        ("New lead for {topic}", "{topic} changes hands", "A new lead"),
        ("From Monday {value} is the new lead for {topic}.",
         "{value} takes over {topic} as lead next week.",
         "We have asked {value} to lead {topic} from now on."),
        ("Who runs {topic} these days, going by {sender}?", "Who did {sender} put in charge of {topic}?",
         "Whom does {sender} name as head of {topic}?"),
    ),
    FactKind(
        "access", "project", "code", "access",
        ("Access to {topic}", "{topic} access code", "Your access"),
        ("The access code for the {topic} folder is {value}.",
         "To get at the {topic} folder use access code {value}.",
         "Your access code for {topic} is {value}, keep it safe."),
        ("What do I type to open the {topic} files from {sender}?", "How do I unlock {topic}, as {sender} wrote?",
         "Which password did {sender} give me for {topic}?"),
        ("The old code is blocked, the new access code for {topic} is {value}.",),
    ),
    FactKind(
        "parcel", "project", "code", "parcel",
        ("{topic} shipment", "Parcel for {topic}", "Your parcel"),
        ("The parcel for {topic} left today with tracking number {value}.",
         "We shipped the {topic} parcel, tracking number {value}.",
         "Tracking number {value} is for the {topic} parcel."),
        ("How can I trace what {sender} posted for {topic}?",
         "Which reference follows the {topic} goods {sender} mailed?",
         "What do I tell the carrier about the {topic} box of {sender}?"),
    ),
    FactKind(
        "staff", "project", "count", "people",
        ("People for {topic}", "{topic} team size", "Team size"),
        ("We will need {value} people on {topic} this year.",
         "The {topic} team will grow to {value} people.",
         "Please plan {value} people for {topic}."),
        ("How many hands does {sender} want on {topic}?", "How large a crew is {sender} seeking for {topic}?",
         "What headcount did {sender} put down for {topic}?"),
        ("The team for {topic} is now planned at {value} people.",),
    ),
    FactKind(
        "hotel", "town", "hotel", "reservation",
        ("Your stay in {topic}", "Hotel in {topic}", "Reservation"),
        ("Your reservation at {value} in {topic} is confirmed.",
         "We have booked you into {value} for your stay in {topic}.",
         "In {topic} you stay at {value}, the reservation is made."),
        ("Where did {sender} put me up in {topic}?", "Where do I sleep in {topic}, going by {sender}?",
         "Which lodging did {sender} find me in {topic}?"),
        ("We had to change your reservation in {topic}, you now stay at {value}.",),
    ),
    FactKind(
        "flight", "town", "flight", "flight",
        ("Flight to {topic}", "Your ticket to {topic}", "Your ticket"),
        ("Your flight to {topic} is {value}, the ticket is issued.",
         "I have booked flight {value} to {topic} for you.",
         "The ticket to {topic} is for flight {value}."),
        ("Which plane takes me to {topic}, says {sender}?", "What am I flying on to {topic}, as {sender} arranged?",
         "What do I look for on the airport board for {topic} from {sender}?"),
        ("The airline has changed your flight to {topic}, it is now {value}.",),
    ),
    FactKind(
        "flat", "town", "money", "flat",
        ("Flat in {topic}", "The {topic} flat", "About the flat"),
        ("The rent for the flat in {topic} is {value} a month.",
         "I saw a nice flat in {topic}, the rent is {value} a month.",
         "They let the {topic} flat at a rent of {value}."),
        ("What would living in {topic} cost me, going by {sender}?",
         "How dear is the {topic} apartment {sender} looked at?",
         "What does the landlord in {topic} want, according to {sender}?"),
    ),
    FactKind(
        "dinner", "town", "place", "dinner",
        ("Dinner in {topic}", "Table in {topic}", "Dinner"),
        ("I have a table for us at {value} in {topic}.",
         "Dinner in {topic} will be at {value}.",
         "Let us have dinner at {value} when we are in {topic}."),
        ("Where are {sender} and I eating in {topic}?", "Which restaurant did {sender} pick in {topic}?",
         "Where does {sender} take me for food in {topic}?"),
        ("Our dinner in {topic} has to move, we now go to {value}.",),
    ),
    FactKind(
        "phone", "nobody", "phone", "number",
        ("My new number", "New phone", "Number"),
        ("My new phone number is {value}.",
         "You can call me on {value} from now on.",
         "I changed my phone, the number is {value}."),
        ("How do I ring {sender}?", "What do I dial to reach {sender}?", "On which line can I get hold of {sender}?"),
    ),
    FactKind(
        "birthday", "nobody", "date", "birthday",
        ("Party", "You are invited", "My birthday"),
        ("I am having a birthday party on {value}, please come.",
         "My birthday party is on {value}.",
         "Come and celebrate my birthday on {value}."),
        ("On what day does {sender} turn a year older?", "When do I need a present for {sender}?",
         "When was {sender} born?"),
    ),
)  # fmt: skip


def mail_word(question: str) -> str | None:
    """Return what mails that answer `question` mostly say and it does not, or None if no kind is asked for so."""
    return next((word for pattern, word in _ASKED if pattern.search(question)), None)


def _pattern(ask: str) -> re.Pattern[str]:
    return re.compile(".+".join(map(re.escape, re.split(r"{\w+}", ask))))


_ASKED = tuple((_pattern(ask), kind.word) for kind in KINDS for ask in kind.asks)
