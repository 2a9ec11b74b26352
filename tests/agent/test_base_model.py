"""The laptop model and its tokenizer: seeded, of the size asked for, and looking back before it learnt anything."""

from __future__ import annotations

import pytest
import torch

from agent.base_model import make_base_model
from agent.base_tokenizer import CALL_GLUE, END, ROLES
from inbox_env.synthetic import generate_inbox
from tests.agent.tiny import VOCABULARY, make_model, make_tokenizer


@pytest.mark.parametrize(("hidden", "heads"), [(32, 2), (48, 3), (64, 4), (16, 1)])
def test_first_heads_look_at_the_tokens_just_before(hidden, heads):
    model = make_base_model(300, hidden=hidden, layers=1, heads=heads, context=64)
    model.set_attn_implementation("eager")
    ids = torch.randint(0, 300, (1, 24), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        attention = model(ids, output_attentions=True).attentions[0][0]
    for head, offset in enumerate((1, 2, 1)[:heads]):
        looked_at = attention[head].argmax(-1)[4:]
        assert looked_at.tolist() == [at - offset for at in range(4, 24)]


def test_the_same_seed_gives_the_same_weights():
    first, again, other = make_model(5).state_dict(), make_model(5).state_dict(), make_model(6).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["model.embed_tokens.weight"], other["model.embed_tokens.weight"])


def test_the_tokenizer_has_the_size_asked_for_and_is_the_same_each_time(tokenizer):
    again = make_tokenizer()
    assert len(tokenizer) == VOCABULARY
    assert tokenizer.get_vocab() == again.get_vocab()
    assert tokenizer.backend_tokenizer.to_str() == again.backend_tokenizer.to_str()


def test_control_tokens_are_whole_and_come_first(tokenizer):
    control = [END, *ROLES, *CALL_GLUE]
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in control]
    assert all(len(found) == 1 and found[0] < 2 + len(ROLES) + len(CALL_GLUE) for found in ids)
    assert len({found[0] for found in ids}) == len(control)


@pytest.mark.parametrize("split", ["train", "test"])
def test_names_of_every_split_are_cut_into_pieces(tokenizer, split):
    """A name that were one token in training could not be copied when it is another one."""
    inbox = generate_inbox(split, 1, num_emails=100, num_questions=1)
    surnames = {mail.sender.name.split()[-1] for mail in inbox.emails if mail.sender.email.endswith(".com")}
    lengths = [len(tokenizer(" " + name)["input_ids"]) for name in surnames]
    assert min(lengths) >= 2


def test_text_survives_the_tokenizer(tokenizer):
    text = "Invoice №7\tfor Zürich:\r\n\r\n  $1,200 — 😀 'tis\u00a0fine"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
