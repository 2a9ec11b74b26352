"""A model server as it runs: on a free port of loopback, in a thread; and engines that do as they are told."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import httpx
import uvicorn

from agent.policies.api_client import Completion, RawCall
from agent.policy import Usage
from agent.sampling.engine import Sample
from scripts.model_server.app import make_api
from scripts.model_server.chat import Chat
from scripts.model_server.generator import Generator
from scripts.model_server.served_model import open_model
from scripts.playground.server import Address, listen

BASE = Path(__file__).resolve().parents[3] / "data" / "base"
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {}}}
    for name in ("search_emails", "read_email", "return_final_answer")
]


@dataclass
class Running:
    """A server that runs: its base URL, and what is behind it."""

    url: str
    chat: Chat
    tasks: object  # () -> how many tasks its loop has

    @property
    def engine(self):
        return self.chat.model.engine


@cache
def base_model():
    """The bundled model, loaded once."""
    return open_model(BASE, num_slots=8)


@contextmanager
def serving(model=None, *, num_slots=8, num_queued=64, deadline_seconds=60.0, token="", engine=None):
    """Yield a running server of `model` (the bundled one), or of another engine with its tokenizer."""
    model = model or base_model()
    if engine is not None:
        model = replace(model, engine=engine)
    limits = {"num_slots": num_slots, "num_queued": num_queued, "deadline_seconds": deadline_seconds}
    generator = Generator(model.engine, **limits)
    chat = Chat(model, generator)
    sock = listen("127.0.0.1", 0)
    port = sock.getsockname()[1]
    where = Address.chosen("127.0.0.1", port, is_network_allowed=False, environment={"MAILSLEUTH_TOKEN": token})
    app = make_api(chat, where.allowed(port))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=lambda: loop.run_until_complete(server.serve(sockets=[sock])), daemon=True)
    thread.start()
    try:
        yield Running(f"http://127.0.0.1:{port}/v1", chat, lambda: len(asyncio.all_tasks(loop)))
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        generator.close()
        chat.close()
        loop.close()


class SlowEngine:
    """Says `text` one token each `pause` seconds; counts its open sessions."""

    def __init__(self, chat, text="one two three", pause=0.01):
        self.ids, self.pause = chat.turn_ids(text, []), pause
        self.num_open = 0
        self.prompts = []

    def open(self, seed, temperature=None, top_p=1.0):
        self.num_open += 1
        return _SlowSession(self)


class _SlowSession:
    is_full = True  # never goes on

    def __init__(self, engine):
        self.engine, self.is_closed = engine, False

    async def sample(self, token_ids, max_tokens, on_token=None):
        self.engine.prompts.append(token_ids)
        said = []
        for token in self.engine.ids[:max_tokens]:
            await asyncio.sleep(self.engine.pause)
            said.append(token)
            if on_token and on_token(token):
                return Sample(said, [0.0] * len(said), is_stopped=True)
        return Sample(said, [0.0] * len(said), is_stopped=len(said) == len(self.engine.ids))

    def close(self):
        self.engine.num_open -= not self.is_closed
        self.is_closed = True


class Recorder:
    """An engine that notes the tokens of every prompt with what it sampled after them."""

    def __init__(self, engine):
        self._engine, self.turns = engine, []

    def open(self, *how):
        session, turns = self._engine.open(*how), self.turns
        inner, known = session.sample, []

        async def sample(token_ids, max_tokens, on_token=None):
            found = await inner(token_ids, max_tokens, on_token)
            turns.append(([*known, *token_ids], found.token_ids))
            known.extend([*token_ids, *found.token_ids])
            return found

        session.sample = sample
        return session


class Script:
    """An engine whose n-th turn of an episode is the n-th of `turns`, whoever it belongs to; notes all it read."""

    def __init__(self, chat, turns):
        self.turns, self.cue = turns, chat.prompt_ids("", "")[-1]
        self.read = []

    def open(self, *_):
        return _ScriptSession(self)


class _ScriptSession:
    is_full, is_closed = True, False

    def __init__(self, script):
        self.script, self.ids = script, []

    async def sample(self, token_ids, max_tokens, on_token=None):
        self.ids += token_ids
        self.script.read.append(tuple(self.ids))
        said = self.script.turns[self.ids.count(self.script.cue) - 1]
        self.ids += said
        return Sample(list(said), [0.0] * len(said), is_stopped=True)

    def close(self):
        pass


class PlainClient:
    """Asks a running server as `ApiClient` does, without its library, which takes seconds to load."""

    def __init__(self, running):
        self.running = running

    def load(self):
        pass

    async def complete(self, messages, tools=None):
        async with httpx.AsyncClient(timeout=30, verify=False) as client:
            body = request(*messages, tools=tools or [], max_tokens=4096)
            answer = (await client.post(self.running.url + "/chat/completions", json=body)).json()
        choice, usage = answer["choices"][0], answer["usage"]
        calls = tuple(
            RawCall(call["id"], call["function"]["name"], call["function"]["arguments"])
            for call in choice["message"].get("tool_calls", ())
        )
        counts = Usage(usage["prompt_tokens"], usage["completion_tokens"])
        return Completion(choice["message"]["content"] or "", calls, choice["finish_reason"] == "length", counts)


def request(*messages, **options):
    """A request's body."""
    system = {"role": "system", "content": "Inbox of Ann. Today is 2002-01-01."}
    listed = messages or (system, {"role": "user", "content": "Where is dinner?"})
    return {"model": base_model().name, "messages": list(listed), **options}
