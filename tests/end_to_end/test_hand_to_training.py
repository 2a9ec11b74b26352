"""From playing in the page to training: what somebody did by hand becomes likelier by one warm-start step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import torch

from agent.arena import Arena
from agent.chat_format import ChatFormat
from agent.imitation import warm_start
from agent.model_folder import AgentCard, LoadedModel
from agent.policies.scripted import search
from agent.recorded_plays import TokenLimits, select_plays
from agent.segment_attention import enable_segment_attention
from agent.sft import imitate
from inbox_env.questions import Question
from inbox_env.store import build_inbox
from inbox_env.synthetic import generate_inbox
from inbox_env.trajectory import read_trajectories
from tests.agent.tiny import LIMITS, make_config, make_model, make_tokenizer
from tests.scripts.playground.served import events, served

ROOM = TokenLimits(1024, 400)


def play_by_hand(url: str, question: Question, word: str) -> dict[str, Any]:
    """Search, open the mail that was asked for and answer from it, as the page's form does; returns the score."""
    request = {"inbox": question.inbox, "question_id": question.id, "policy": "hand"}
    lines: list[str] = []
    with httpx.stream("POST", f"{url}/api/ask/play", json=request, timeout=30) as answer:
        for line in answer.iter_lines():
            lines.append(line)
            if not (line.startswith("data: ") and lines[-2] in ("event: question", "event: turn")):
                continue
            told = events(iter(lines))
            gold = question.message_ids[0]
            name, arguments = (
                ("search_emails", {"keywords": [word]}),
                ("read_email", {"id": gold}),
                ("return_final_answer", {"answer": question.answer, "sources": [gold]}),
                ("", {}),
            )[len(told) - 1]
            if name:
                body = {"episode": told[0][1]["episode"], "name": name, "arguments": arguments}
                assert httpx.post(f"{url}/api/ask/call", json=body).status_code == 202
    return dict(events(iter(lines)))["score"]


def findable(arena: Arena, question: Question) -> tuple[Question, str] | None:
    """Return a question with one gold mail and the word of it that lists it first."""
    for gold in question.message_ids if question.kind == "single" else ():
        mail = arena.inbox(question.inbox).read(gold, as_of=None)
        word = mail.email.subject.split()[-1] if mail else ""
        if mail and arena.env(question).step(search(word)).results[0].listed[:1] == (gold,):
            return question, word
    return None


def test_what_was_played_by_hand_in_the_page_becomes_likelier_by_one_warm_start_step(tmp_path: Path) -> None:
    invented = generate_inbox("train", 1, num_emails=100, num_questions=60)
    mailbox = tmp_path / "mail.db"
    build_inbox(mailbox, invented.name, invented.emails, owner=invented.owner)
    arena = Arena.open(mailbox, invented.questions, LIMITS)
    question, word = next(found for one in arena.questions if (found := findable(arena, one)))
    with served(mailbox, list(arena.questions), tmp_path) as url:
        assert play_by_hand(url, question, word)["outcome"] == "right"
    saved = tmp_path / "by-hand.jsonl"
    assert [one.policy for one in read_trajectories(saved)] == ["by-hand"]

    chat = ChatFormat(make_tokenizer())
    card = AgentCard(prompt="laptop", limits=LIMITS, max_new_tokens=400, max_context=1024)
    loaded = LoadedModel(make_model(0, 1024), chat, card)
    enable_segment_attention(loaded.model)
    (trace,) = select_plays([saved], arena, chat, prompt="laptop", min_reward=1.0, limits=ROOM).traces

    def loss() -> float:
        still = torch.optim.SGD(loaded.model.parameters(), lr=0.0)
        return imitate(loaded.model, still, [trace]).loss

    config = make_config(
        tmp_path,
        warm_start={"source": "file", "files": [str(saved)], "steps": 1, "learning_rate": 0.01},
        sampling={"max_new_tokens": 400, "max_context": 1024},
    )
    before = loss()
    seen: list[float] = []
    assert warm_start(config, loaded, arena, lambda _, done: seen.append(done.loss)) == 1
    assert abs(seen[0] - before) < 1e-3  # the step was taken on these tokens alone
    assert loss() < before - 0.05
