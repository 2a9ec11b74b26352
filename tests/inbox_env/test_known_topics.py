"""What a mail is said to be about: whole phrases, in other words where the mail lacks them, never half a name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from inbox_env.emails import Address, Email
from inbox_env.known_items.items import KnownItems
from inbox_env.known_items.names import NICKNAMES, long_forms, misspelt, nickname
from inbox_env.known_items.synonyms import SYNONYMS, forms, synonym
from inbox_env.known_items.topics import Topic
from inbox_env.known_items.wording import blur, drop_words
from inbox_env.search.folding import words
from inbox_env.store import EmailStore, build_inbox

ME, ANN = Address("Me Myself", "me@corp.example"), Address("Ann Lee", "ann@corp.example")
REST = "and so we shall see what becomes of it when all have had a look, says the office in number"


def topics_of(folder: Path, mails: Sequence[tuple[str, str]]) -> list[set[str]]:
    """Return the topics of mails (subject and text), each sent twice in different words so that no word is rare."""
    emails = [
        Email(
            f"<{number}@x>",
            datetime(2001, 1, 1, tzinfo=UTC) + timedelta(days=number),
            ANN,
            (ME,),
            subject,
            f"{'Well then: ' * (number >= len(mails))}{text} {REST} {number}.",
        )
        for number, (subject, text) in enumerate([*mails, *mails])
    ]
    build_inbox(folder / "my.db", "me", emails, owner=ME)
    items = KnownItems(EmailStore.open(folder / "my.db"), "me")
    found = {mail.email.message_id: {topic.text for topic in items.topics(mail)} for mail in items.mails}
    return [found[f"<{number}@x>"] for number in range(len(mails))]


def test_topics_are_whole_phrases(tmp_path: Path) -> None:
    lease, background, eat, ball, shout = topics_of(
        tmp_path,
        [
            ("Harbour lease", "I have signed it."),
            ("Background information", "Here is the background information on Falcon Trading for you."),
            ("Where do you want to eat", "Tell me about the Norwegian embassy, please."),
            ("Help", "Can you get the ball rolling for Falcon Trading with the people there?"),
            ("Note", f"{'PLEASE TELL THEM WHAT WE THINK. ' * 4}DID THE NORWEGIAN EMBASSY SEE THE LEASE?"),
        ],
    )
    assert "the harbour lease" in {topic.lower() for topic in lease}
    assert "Falcon Trading" in background
    assert "the background" not in background
    assert "the eat" not in eat
    assert "the ball rolling" not in ball
    assert not any("EMBASSY" in topic for topic in shout)


@pytest.fixture
def items(tmp_path: Path) -> KnownItems:
    text = "The harbour lease and the attorney, the trusts, one trust, another trust and the contracts of a contract."
    emails = [
        Email(f"<{n}@x>", datetime(2001, 1, 1 + n, tzinfo=UTC), ANN, (ME,), "Lease", f"{text} Number {n}.")
        for n in range(2)
    ]
    build_inbox(tmp_path / "my.db", "me", emails, owner=ME)
    return KnownItems(EmailStore.open(tmp_path / "my.db"), "me")


def test_a_noun_becomes_another_word_only_where_the_mail_lacks_that(items: KnownItems) -> None:
    attorney = Topic("the port attorney", ("port", "attorney"), 1.0)
    free = {blur(attorney, items.counts, frozenset(), Random(seed)) for seed in range(50)}
    held = {blur(attorney, items.counts, frozenset({"lawyer"}), Random(seed)) for seed in range(50)}
    assert "the port lawyer" in free
    assert held == {"the port attorney"}


def test_only_plain_nouns_lose_what_stands_before_them() -> None:
    lease, house = (
        Topic("the harbour lease", ("harbour", "lease"), 1.0),
        Topic("the White house", ("white", "house"), 1.0),
    )
    assert {drop_words(lease, Random(seed)).text for seed in range(50)} == {"the harbour lease", "the lease"}
    assert {drop_words(lease, Random(seed)).words for seed in range(50)} == {("harbour", "lease"), ("lease",)}
    assert {drop_words(house, Random(seed)) for seed in range(50)} == {house}


def test_a_short_name_is_used_only_where_the_mail_does_not_show_it() -> None:
    def drawn(who: str, person: str, *held: str) -> set[str]:
        return {nickname(who, person, frozenset(held), Random(seed)) for seed in range(50)}

    assert drawn("Robert Roe", "Robert Roe") == {"Robert Roe", "Bob Roe"}
    assert drawn("Robert Roe", "Robert Roe", "bob") == {"Robert Roe"}
    assert drawn("Mike", "Mike Roe") == {"Mike", "Michael"}
    assert drawn("Zoe Roe", "Zoe Roe") == {"Zoe Roe"}
    assert drawn("Martin", "John Martin") == {"Martin"}  # a last name is not shortened
    assert all(name.islower() and short.istitle() for name, short in NICKNAMES.items())


def test_every_form_of_a_first_name_leads_to_the_others() -> None:
    assert long_forms("bob") == {"robert", "rob"}
    assert long_forms("rob") == {"robert", "bob"}
    assert "michael" in long_forms("mike")
    assert long_forms("chris") >= {"christopher", "christine"}
    assert long_forms("zoe") == set()


def test_a_slip_is_near_the_name_and_no_short_or_shouted_name_has_one() -> None:
    spelt = {name: {misspelt(name, Random(seed)) for seed in range(30)} for name in ("Kaminski", "Shannon", "Olson")}
    assert spelt == {"Kaminski": {"Kaminsky"}, "Shannon": {"Shanon"}, "Olson": {"Olsen"}}
    for name in ("Lee", "EnronOnline", "FERC", "Roark"):
        assert misspelt(name, Random(1)) == name


def test_nothing_is_said_otherwise_that_is_part_of_a_name_or_mostly_in_the_plural(items: KnownItems) -> None:
    said = {
        text: blur(Topic(text, (), 1.0), items.counts, frozenset(), Random(1), is_sure=True)
        for text in ("the Manti attorney", "the port attorney", "the trusts", "the licensing center")
    }
    assert said["the Manti attorney"] == "the Manti attorney"
    assert said["the port attorney"] == "the port lawyer"
    assert said["the trusts"] == "the trust"  # as often in the singular
    assert said["the licensing center"] == "the licensing centre"
    items.counts.add("", "Trusts. Trusts.")
    assert blur(Topic("the trusts", (), 1.0), items.counts, frozenset(), Random(1), is_sure=True) == "the trusts"


def test_what_stands_for_a_word_leads_back_to_it() -> None:
    for word, other in SYNONYMS.items():
        assert synonym(word) == other
        assert word not in words(other)
        if " " not in other:
            assert word in forms(other)
    assert synonym("attorneys") == "lawyers"
    assert synonym("harbour") == ""
