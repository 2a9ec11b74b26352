"""A renamed trace says the same of others: equal tokens stay equal, and nothing but names and numbers changes."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from agent.policy import TokenTrace
from agent.renaming import Renaming
from tests.agent.tiny import VOCABULARY

SORTS = ([16, 17, 18, 19], [20, 21, 22], list(range(30, 200)))
tokens = st.lists(st.integers(0, 220), min_size=1, max_size=60)


def trace_of(ids):
    trace = TokenTrace()
    trace.extend(list(ids))
    return trace


@given(tokens, st.integers(0, 2**32))
def test_exchanging_is_one_to_one_inside_each_sort_and_leaves_the_rest(ids, seed):
    renamed = Renaming(SORTS).rename(trace_of(ids), Random(seed))
    pairs = set(zip(ids, renamed.token_ids, strict=True))
    assert len(pairs) == len(set(ids)) == len(set(renamed.token_ids))
    for before, after in pairs:
        (sort,) = [sort for sort in (*SORTS, [before]) if before in sort][:1]
        assert after in sort


def test_every_trace_gets_names_of_its_own():
    random, renaming = Random(1), Renaming(SORTS)
    assert len({tuple(renaming.rename(trace_of(range(30, 60)), random).token_ids) for _ in range(9)}) == 9


def test_mask_and_logprobs_stay():
    trace = trace_of([30, 31])
    trace.extend([30, 5], [-1.0, -2.0])
    renamed = Renaming(SORTS).rename(trace, Random(3))
    assert (renamed.action_mask, renamed.logprobs) == (trace.action_mask, trace.logprobs)
    assert renamed.token_ids[0] == renamed.token_ids[2]


def test_invented_mail_is_renamed_by_whole_tokens_of_its_names_and_numbers(chat):
    text = chat.plain_ids("12 found\n345 2001-02-03 Ann: it costs $345")
    renamed = [Renaming.of_invented_mail(chat).rename(trace_of(text), Random(seed)) for seed in range(5)]
    for words in map(chat.decode, (trace.token_ids for trace in renamed)):
        assert words.startswith("12 found\n")
        assert " 2001-02-03 " in words
    assert all(token < VOCABULARY for trace in renamed for token in trace.token_ids)
