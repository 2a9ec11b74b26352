"""English words as known-item questions need them: which say nothing of a topic, which belong to asking. Pure."""

from __future__ import annotations

import re

from inbox_env.search.folding import words

_NUMBER = re.compile(r"\d{1,2}|(?:19|20)\d\d")

DULL = frozenset(
    (
        "a ability able about above access account across active actual actually add added additional address "
        "affiliate affiliates after afternoon afternoons again against ago ahead al alarms all almost along already "
        "also although always am amount an and another answer any anybody anymore anyone anything anyway "
        "appropriate apr april are area around arrive arrives as asap ask asked asking asset at attached attachment "
        "attention aug august autumn available aware away b baby back bad base based be because become been before "
        "began begin behind being believe below best better between big birthday bit both bottom brief bring btw "
        "business busy but buy by c call called calls came can cannot cant care case cc cell certain chance change "
        "changes check christmas clear close co com come comes coming comment comments concern concerns congrats "
        "congratulations contact cool copy corp corporation correct corresponding could couple course crazy current "
        "currently cut cuts d date dates day days dear dec december depart departs detail details did didn't didnt "
        "different discuss discussed discussion do document documents does doesn't doesnt doing don't done dont "
        "down draft due during e each earlier early effective eg either else email end enough entire et etc even "
        "evening ever every everybody everybody's everyone everything exact example existing expect fact fair fall "
        "far fax feb february feedback feel few fig file files final find fine finish first five folks follow "
        "following for form format forward forwarded found four free fri friday friend friends from full fun funny "
        "further future fyi g gal gals gave general get gets getting give given gives giving glad go goes going "
        "gonna good got great group guess guy guys h had half hand handle hands happen happened happy hard has have "
        "having he hear heard hello help her here hey hi high him his hit hold home honey hope hour hours how "
        "however hows huge hundred i i'd i'll i'm i've idea ie if ill important in inc include included including "
        "info information inside instead intended intent interest interested into is isn't isnt issue issues it "
        "it's item items its itself ive j jan january job john joke jokes jul july jun june just k keep kept kid "
        "kind knew know l large last late later latest least leave left less let lets letter level like line list "
        "little live ll llc lol long longer look looked looking looks lot lots love low lower lp ltd m made mail "
        "main major majority make makes making man manager manner many mar march matter may maybe me mean means "
        "meet member members merry message met middle might mind minor minute minutes miss modification "
        "modifications moment mon monday money month monthly months mood more morning most move moved moving much "
        "must my myself n name names near necessary need needed needs never news next nice night no none noon nor "
        "not note nothing nov november now number numbers o oct october of off office oh ok okay old on once one "
        "ones only open opinion or order original other others our out over own p page paper part particular parts "
        "past pay people per perfect perhaps person phone pick picks place plan plans play please pls pm point "
        "points portion possibility possible potential pretty previous prior probably problem problems process "
        "project prominent proper proposed provide purpose purposes put q question questions quick quickly quite r "
        "rather re read reading ready real really reason receive received recent recipient recipients regarding "
        "regards regds remaining remember reminder reminders reply request respective respond response rest result "
        "results return review rgds right room run s said same sat saturday saw say saying says schedule second "
        "section see seem seems seen send sending sent sep sept september set several shall she short should show "
        "side sign similar simple since sincerely sir sit six so some somebody someone someone's something "
        "sometimes soon sorry sort sound sounds speak special specific spoke spring start started state stay still "
        "stop stuff subject success such summer sun sunday sure t take taken takes taking talk talked talking tell "
        "ten than thank thanks that that's thats the their them themselves then there there's therefore these they "
        "they're thing things think thinking third this those though thought thoughts three through thru thu thur "
        "thurs thursday thus thx til till time times title titles tks to today together told tomorrow tonight too "
        "took top total tried true try trying tue tues tuesday turn two u under understand understanding until up "
        "upcoming update updated upon urgent us use used useful using usual v value values various version versions "
        "very via view views visit visits vs w wait want wanted wants was wasn't way ways we we'll we're we've wed "
        "wednesday week weekend weekly weeks welcome well went were what what's whatever when where whether which "
        "while who whole whom whose why will winter wish with within without won't wonderful wont word words work "
        "worked working world worth would wouldn't write written wrong wrote www x y yeah year years yes yesterday "
        "yet you you'll you're you've your youre yours yourself z"
    ).split()
)
"""Words that say nothing of what a mail is about."""

ASKING = frozenset(
    (
        "a about again also am amount an and answer answered any anybody are around as asked at back be been being "
        "both bring brings brought but by calendar call called came can circular come copied copy could date day did "
        "do does earlier early end find first for found from gave get give given go got had has have he hear heard "
        "her him his hour how i if in into is it its know last late let long looking mail me mention mentioned "
        "mentions message mid middle might money more much must my name named names need no not note number of on "
        "one only or other others our out over pass passed phone place read received remark remarked replied reply "
        "response round said say says send sent several she should show so some somebody someone something sum talk "
        "tell than that the their them then there these they think this those time to told under up us was we were "
        "what what's whats when where which who whom whose will with word would write writing written wrote you your"
    ).split()
)
"""Words of asking: what is left of a question without them are its content words."""


_TIMES = frozenset(
    (
        "january february march april may june july august september october november december jan feb mar apr jun jul "
        "aug sep sept oct nov dec spring summer autumn fall winter day days week weeks month months year years ago few "
        "two three couple last early late middle end beginning towards around recently yesterday monday tuesday "
        "wednesday thursday friday saturday sunday"
    ).split()
)


def timeless_words(question: str) -> list[str]:
    """Return the content words of a question without those that say when: they seldom stand in the mail."""
    return [word for word in content_words(question) if word not in _TIMES and not _NUMBER.fullmatch(word)]


def content_words(question: str) -> list[str]:
    """Return the words of a question that are not words of asking, in order, each once."""
    return [word for word in dict.fromkeys(words(question.replace("'s", ""))) if word not in ASKING]


def plural(word: str) -> str:
    """Return a word with an s, or as it is when it seems to be a plural."""
    return word if word.endswith("s") or len(word) < 4 else f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"


def singular(word: str) -> str:
    """Return a word without its plural s, or as it is."""
    if word.endswith("ies") and len(word) > 5:
        return f"{word[:-3]}y"
    return word[:-1] if len(word) > 4 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word
