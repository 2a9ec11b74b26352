"""The page as it is served: a real server on a free port of loopback, in a thread, with invented mail behind it."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.types import ASGIApp

from inbox_env.emails import Address, Attachment, Email
from inbox_env.questions import Question
from inbox_env.store import build_inbox
from inbox_env.synthetic.mailbox import SyntheticRecipe, ensure_mailbox
from scripts.page_options import TOKEN_VARIABLE
from scripts.playground.ask_routes import AskSettings
from scripts.playground.episode_loop import EpisodeLoop
from scripts.playground.guard import Allowed, Guard
from scripts.playground.library import Library
from scripts.playground.page import make_page
from scripts.playground.server import Address as Listening
from scripts.playground.server import listen, server_config

RECIPE = SyntheticRecipe("dev", (1, 2), num_emails=100, num_questions=20)


@contextmanager
def served(mailbox: Path, questions: list[Question], folder: Path, policy: str | None = None) -> Iterator[str]:
    """Yield the address of a running page."""
    with served_app(mailbox, questions, folder, policy) as (url, _):
        yield url


@contextmanager
def served_app(
    mailbox: Path, questions: list[Question], folder: Path, policy: str | None = None, token: str = ""
) -> Iterator[tuple[str, Guard]]:
    """Yield the address of a running page and its application."""
    library, loop = Library(mailbox, questions), EpisodeLoop()
    settings = AskSettings(save=None, save_hand=folder / "by-hand.jsonl")
    sock, allowed = listening(token)
    app = make_page(library, loop, settings, allowed, policy=policy)
    try:
        with running(app, sock) as url:
            yield url, app
    finally:
        loop.close()
        library.close()


def listening(token: str = "") -> tuple[socket.socket, Allowed]:
    """Return a socket at a free port of loopback, and who is answered there."""
    sock = listen("127.0.0.1", 0)
    port = sock.getsockname()[1]
    environment = {TOKEN_VARIABLE: token}
    where = Listening.chosen("127.0.0.1", port, is_network_allowed=False, environment=environment)
    return sock, where.allowed(port)


@contextmanager
def running(app: ASGIApp, sock: socket.socket) -> Iterator[str]:
    """Yield the address of `app`, answering at `sock` from a thread until it is left."""
    server = uvicorn.Server(server_config(app))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[sock])), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)


def invented(folder: Path) -> tuple[Path, list[Question]]:
    """Return two invented inboxes with their labelled questions."""
    return ensure_mailbox(RECIPE, folder)


def hostile(folder: Path, texts: list[str]) -> Path:
    """Return a mailbox in which every part of every mail is one of `texts`."""
    emails = [
        Email(
            message_id=f"{number}@test.invalid",
            date=datetime(2020, 1, 1 + number, tzinfo=UTC),
            sender=Address(text, "eve@test.invalid"),
            to=(Address(text, "me@test.invalid"),),
            subject=text,
            body=f"needle {text}\n{text}",
            attachments=(Attachment(text, "text/plain", 10),),
        )
        for number, text in enumerate(texts)
    ]
    path = folder / "hostile.db"
    build_inbox(path, "me", emails, owner=Address("Me", "me@test.invalid"))
    return path


def ask(url: str, **request: Any) -> list[tuple[str, dict[str, Any]]]:
    """Return all events of one episode."""
    with httpx.stream("POST", f"{url}/api/ask/play", json=request, timeout=60) as answer:
        assert answer.status_code == 200, answer.read()
        return events(answer.iter_lines())


def events(lines: Iterator[str]) -> list[tuple[str, dict[str, Any]]]:
    """Return what an event stream says."""
    found, name = [], ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            found.append((name, json.loads(line.removeprefix("data: "))))
    return found
