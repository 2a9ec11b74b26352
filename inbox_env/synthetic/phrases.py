"""Everything that invented mail says besides its facts: greetings, small talk, chatter, newsletters. Pure data."""

from __future__ import annotations

GREETINGS = ("Hi {owner},", "Hello {owner},", "Dear {owner},", "{owner},", "Good morning {owner},")
CLOSINGS = ("Best,", "Regards,", "Thanks,", "See you,", "Kind regards,", "Cheers,")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")

FILLERS = (
    "Hope you had a good weekend.",
    "Sorry for the late reply.",
    "It was good to see you last week.",
    "Let me know if anything is unclear.",
    "Please tell me whether this works for you.",
    "I am out of the office tomorrow.",
    "The others have been told.",
    "I will write again when I know more.",
    "Thank you for your patience.",
    "The weather here is awful.",
    "Give my best to the family.",
    "Do not hesitate to ask.",
    "We can go through the details later.",
    "Please keep this to yourself for now.",
    "I copied the team.",
)

CHATTER_SUBJECTS = ("{topic}", "Question on {topic}", "{topic} update", "Notes on {topic}", "About {topic}", "News")
CHATTER = (
    "Any news on {topic}? I have not heard from {other}.",
    "I spoke with {other} about {topic} and all is well.",
    "Thanks for your notes on {topic}. I will read them tonight.",
    "{other} will be back next week and can then look at {topic}.",
    "The customer is happy with {topic} so far.",
    "Could you check with {other} where we stand on {topic}?",
    "We should not forget {topic} in the report.",
    "{topic} came up again today, nothing has changed.",
)

REPLIES = (
    "Thank you, that is clear.",
    "Received with thanks.",
    "Fine with me.",
    "Noted, I will tell {other}.",
    "Perfect, talk soon.",
)

NEWSLETTER_NAMES = ("Weekly digest", "Market letter", "Travel club", "Office bulletin", "Book corner", "Sport report")
NEWSLETTER = (
    "This week: five ways to save on rent and energy.",
    "Readers ask: how to plan a team meeting that people like.",
    "The budget season is here, and so are the invoices.",
    "A new flight connection opens this spring.",
    "Our test kitchen looks at dinner for two.",
    "Win a hotel stay by the sea.",
    "Ten offers that you should not miss.",
    "How to keep your access codes safe.",
    "Parcel delivery gets faster in most towns.",
    "What the new phone can do.",
)

ASIDES = (
    "Before I call {other}: {ask}",
    "{other} wants to know: {ask}",
    "I promised {other} an answer. {ask}",
    "{ask} I have to tell {other}.",
    "{ask} {other} keeps asking.",
)
