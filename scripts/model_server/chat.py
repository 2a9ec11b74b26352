"""One chat request: from the conversation's tokens to the turn that is told, whole or as it comes.

The tools stand in the prompt as the agent was trained with them, whatever a request says of them; a turn is at most as
long as its turns were there. Knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from agent.sampling.engine import Sample
from agent.sampling.sample_tokens import Draw
from inbox_env.tools import tool_schemas
from scripts.model_server.answers import Heading
from scripts.model_server.conversation import conversation_ids
from scripts.model_server.failures import ApiError
from scripts.model_server.generator import Drawing, Generator, Ticket
from scripts.model_server.requests import ChatRequest, NamedTool
from scripts.model_server.served_model import ServedModel
from scripts.model_server.turn_memory import TurnMemory
from scripts.model_server.turns import Finish, StopFinder, TextStream, ToldTurn, name_calls, told_parts

Result = TypeVar("Result")

_OWN_TOOLS = {one["function"]["name"]: frozenset(one["function"]["parameters"]["properties"]) for one in tool_schemas()}


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request that can be played: its tokens (`forced` ones begin the answer), how to sample, and how to tell it."""

    token_ids: list[int]
    forced: list[int]
    drawing: Drawing
    stops: Sequence[str]
    has_tools: bool
    is_one_call: bool


class Chat:
    """Answers requests to one model. Their words are made into tokens, and back, in one thread beside the server's."""

    def __init__(self, model: ServedModel, generator: Generator) -> None:
        self.model, self.generator = model, generator
        self._memory = TurnMemory()
        self._words = ThreadPoolExecutor(1, "words")

    def close(self) -> None:
        """End the thread."""
        self._words.shutdown(cancel_futures=True)

    async def prepare(self, request: ChatRequest) -> Prompt:
        """Return the prompt of a request; raises ApiError 400 or 404."""
        return await self._in_words(self._prepare, request)

    async def _in_words(self, work: Callable[..., Result], *given: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._words, work, *given)

    def _prepare(self, request: ChatRequest) -> Prompt:
        if request.model != self.model.name:
            what = f"the model {request.model!r} does not exist: this server has {self.model.name!r}"
            raise ApiError(404, what, param="model", code="model_not_found")
        has_tools = _has_tools(request)
        chat = self.model.chat
        ids = conversation_ids(request.messages, chat, self._memory)
        forced = []
        if has_tools and isinstance(request.tool_choice, NamedTool):
            forced = chat.call_opening_ids(request.tool_choice.function.name)
        room = self.model.max_context - len(ids) - len(forced)
        if room < 1:
            raise _too_long(self.model.max_context, len(ids) + len(forced))
        limit = min(room, self.model.card.max_new_tokens, request.token_limit or room)
        seed = secrets.randbits(63) if request.seed is None else request.seed % 2**63
        drawing = Drawing(limit, seed, Draw(request.temperature, request.top_p))
        return Prompt(ids, forced, drawing, request.stop, has_tools, not request.parallel_tool_calls)

    async def answer(self, prompt: Prompt, ticket: Ticket) -> ToldTurn:
        """Return the whole turn; raises ApiError 504."""
        listener = _Listener(self.model, prompt, None)
        sample = await self._sample(prompt, listener, ticket)
        return await self._in_words(self._told, prompt, sample, listener)

    async def _sample(self, prompt: Prompt, listener: _Listener, ticket: Ticket) -> Sample:
        """Return what is sampled; its place is free from then on, however slowly the answer is read."""
        try:
            return await self.generator.sample(prompt.token_ids + prompt.forced, prompt.drawing, listener.on_token)
        finally:
            ticket.release()

    async def stream(self, prompt: Prompt, heading: Heading, ticket: Ticket) -> AsyncGenerator[bytes, None]:
        """Yield the turn as events. Text comes as it is sampled; with tools, all at the end: it may become a call.

        Raises ApiError before the first event, or (past the deadline) later.
        """
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        here = asyncio.get_running_loop()

        def tell(text: str) -> None:
            here.call_soon_threadsafe(queue.put_nowait, text)

        listener = _Listener(self.model, prompt, tell)
        sampling = asyncio.create_task(self._sample(prompt, listener, ticket))

        def end(ended: asyncio.Task[Sample]) -> None:
            queue.put_nowait(None)
            if not ended.cancelled():
                ended.exception()  # looked at, in case nobody waits for it any more

        sampling.add_done_callback(end)
        try:
            text = await queue.get()
            if text is None:
                sampling.result()  # raises what hindered it
            yield heading.first()
            num_told = 0
            while text is not None:
                if text and not prompt.has_tools:
                    yield heading.text(text)
                    num_told += len(text)
                text = await queue.get()
            turn = await self._in_words(self._told, prompt, sampling.result(), listener)
            if turn.text[num_told:]:
                yield heading.text(turn.text[num_told:])
            for part in heading.last(turn):
                yield part
        finally:
            sampling.cancel()

    def _told(self, prompt: Prompt, sample: Sample, listener: _Listener) -> ToldTurn:
        said = prompt.forced + sample.token_ids
        text, calls = told_parts(self.model.chat, said, has_tools=prompt.has_tools)
        is_cut = listener.finder.is_found
        if is_cut:
            text, calls = StopFinder(prompt.stops).add(text), ()
        if prompt.is_one_call:
            calls = calls[:1]
        elif sample.is_stopped and not is_cut:
            self._memory.remember(prompt.token_ids, text, calls, said)
        finish: Finish = "tool_calls" if calls else "stop" if sample.is_stopped else "length"
        named = name_calls(calls)
        return ToldTurn(text, named, finish, len(prompt.token_ids) + len(prompt.forced), len(sample.token_ids))


class _Listener:
    """Hears every token in the engine's thread: looks for the strings to stop at, and tells text that is safe to tell.

    Must not raise: it would end every turn that is sampled beside this one.
    """

    def __init__(self, model: ServedModel, prompt: Prompt, tell: Callable[[str], Any] | None) -> None:
        self.finder = StopFinder(prompt.stops)
        self._text = TextStream(model.listening_chat)
        self._tell = tell
        self._is_needed = bool(prompt.stops) or (tell is not None and not prompt.has_tools)

    def on_token(self, token_id: int) -> bool:
        """Return whether to stop here."""
        text = self.finder.add(self._text.add(token_id)) if self._is_needed else ""
        if self._tell is not None:
            self._tell(text)
        return self.finder.is_found


def _has_tools(request: ChatRequest) -> bool:
    """Return whether calls are wanted; raises ApiError for tools that this agent was not trained to use."""
    names = {tool.function.name for tool in request.tools}
    if foreign := sorted(names - _OWN_TOOLS.keys()):
        what = f"tools: this agent knows {', '.join(sorted(_OWN_TOOLS))} alone, not {foreign[0]}"
        raise ApiError(400, what, param="tools", code="unsupported_value")
    for tool in (one.function for one in request.tools):
        if others := sorted(tool.argument_names - _OWN_TOOLS[tool.name]):
            what = f"tools: {tool.name} of this agent takes {', '.join(sorted(_OWN_TOOLS[tool.name]))}, not {others[0]}"
            raise ApiError(400, what, param="tools", code="unsupported_value")
    if isinstance(request.tool_choice, NamedTool) and request.tool_choice.function.name not in names:
        raise ApiError(400, "tool_choice: names none of the tools", param="tool_choice", code="invalid_value")
    return bool(names) and request.tool_choice != "none"


def _too_long(limit: int, length: int) -> ApiError:
    # Clients tell this failure from others by these words and by the code.
    what = f"This model's maximum context length is {limit} tokens, and the messages take {length}: shorten them"
    return ApiError(400, what, param="messages", code="context_length_exceeded")
