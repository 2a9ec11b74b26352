"""A small IMAP4rev1 server on loopback for tests: enough of the protocol to be read from.

It keeps a record of all that it was told and can drop the connection after so many messages, as a real one
does.
"""

from __future__ import annotations

import re
import socketserver
import ssl
import threading
from dataclasses import dataclass, field
from typing import Any

USER, PASSWORD = "ann@x.org", 's3cret "quoted"'
_COMMAND = re.compile(r"(\S+) (.*)", re.DOTALL)
_LITERAL = re.compile(r"\{(\d+)\}$")


def message(number: int, extra: str = "") -> bytes:
    """Return a small message with CRLF line ends."""
    text = f"From: bob@y.org\nTo: {USER}\nSubject: s{number}\nMessage-ID: <{number}@y.org>\n{extra}\nbody {number}\n"
    return text.replace("\n", "\r\n").encode()


@dataclass
class Box:
    """One folder: messages by UID, their flags, and the folder's own flags."""

    messages: dict[int, bytes]
    uidvalidity: int = 7
    flags: dict[int, str] = field(default_factory=dict)
    attributes: str = "\\HasNoChildren"
    is_closed: bool = False


class ImapServer(socketserver.ThreadingTCPServer):
    """Serves the boxes; `commands` is everything that clients said, `num_given` how many bodies they got."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, boxes: dict[str, Box], tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.boxes, self.tls = boxes, tls
        self.commands: list[str] = []
        self.num_given, self.drop_after = 0, -1
        self.withheld: set[int] = set()
        self.port = int(self.server_address[1])

    def __enter__(self) -> ImapServer:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        if self.tls is not None:
            connection = self.tls.wrap_socket(connection, server_side=True)
        return connection, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is part of the tests."""


class _Session(socketserver.StreamRequestHandler):
    server: ImapServer

    def handle(self) -> None:
        self.box: Box | None = None
        self.say("* OK ready")
        while line := self.rfile.readline():
            text = line.decode().rstrip("\r\n")
            while literal := _LITERAL.search(text):
                self.say("+ go on")
                text = text[: literal.start()] + self.rfile.read(int(literal[1])).decode()
                text += self.rfile.readline().decode().rstrip("\r\n")
            found = _COMMAND.match(text)
            assert found is not None
            self.server.commands.append(found[2])
            if not self.answer(found[1], found[2]):
                return

    def say(self, text: str | bytes) -> None:
        self.wfile.write((text.encode() if isinstance(text, str) else text) + b"\r\n")

    def answer(self, tag: str, command: str) -> bool:
        word = command.split(" ")[0].upper()
        if word == "UID":
            word = "UID_" + command.split(" ")[1].upper()
        result = getattr(self, f"on_{word.lower()}", lambda _: "BAD unknown")(command)
        if result is None:
            return False
        self.say(f"{tag} {result}")
        return word != "LOGOUT"

    def on_capability(self, _: str) -> str:
        self.say("* CAPABILITY IMAP4rev1 AUTH=PLAIN SPECIAL-USE")
        return "OK done"

    def on_login(self, command: str) -> str:
        user, password = (re.sub(r"\\(.)", r"\1", part) for part in re.findall(r'"((?:[^"\\]|\\.)*)"', command))
        return "OK in" if (user, password) == (USER, PASSWORD) else "NO [AUTHENTICATIONFAILED] wrong"

    def on_list(self, _: str) -> str:
        for name, box in self.server.boxes.items():
            self.say(f'* LIST ({box.attributes}) "/" "{name}"')
        return "OK done"

    def on_status(self, command: str) -> str:
        name = command.split('"')[1]
        self.say(f'* STATUS "{name}" (MESSAGES {len(self.server.boxes[name].messages)})')
        return "OK done"

    def on_examine(self, command: str) -> str:
        self.box = self.server.boxes.get(command.split('"')[1])
        if self.box is None or self.box.is_closed:
            return "NO no such folder"
        self.say(f"* {len(self.box.messages)} EXISTS")
        self.say(f"* OK [UIDVALIDITY {self.box.uidvalidity}] valid")
        return "OK [READ-ONLY] done"

    def on_uid_search(self, command: str) -> str:
        assert self.box is not None
        first = int(command.rpartition(" ")[2].partition(":")[0])
        uids = sorted(self.box.messages)
        found = [uid for uid in uids if uid >= first] or uids[-1:]  # "n:*" always names the last one
        self.say("* SEARCH " + " ".join(map(str, found)))
        return "OK done"

    def on_uid_fetch(self, command: str) -> str | None:
        assert self.box is not None
        uids, parts = command.split(" ", 3)[2:]
        for number, uid in enumerate(map(int, uids.split(","))):
            raw = self.box.messages.get(uid)
            if raw is None or (uid in self.server.withheld and "BODY" in parts):
                continue
            if "BODY.PEEK[]" in parts and self.server.num_given == self.server.drop_after:
                self.wfile.write(f"* {number} FETCH (UID {uid} BODY[] {{{len(raw)}}}\r\n".encode() + raw[:5])
                return None
            self.say(self.row(number + 1, uid, raw, parts))
        return "OK done"

    def row(self, number: int, uid: int, raw: bytes, parts: str) -> bytes:
        words = []
        if "RFC822.SIZE" in parts:
            words.append(b"RFC822.SIZE %d" % len(raw))
        if "HEADER.FIELDS" in parts:
            line = re.search(rb"Message-ID:[^\r]*\r\n", raw)
            data = (line[0] if line else b"") + b"\r\n"
            words.append(b"BODY[HEADER.FIELDS (MESSAGE-ID)] {%d}\r\n%s" % (len(data), data))
        if "BODY.PEEK[]" in parts:
            self.server.num_given += 1
            partial = re.search(r"<0\.(\d+)>", parts)
            data = raw[: int(partial[1])] if partial else raw
            words.append(b"BODY[]%s {%d}\r\n%s" % (b"<0>" if partial else b"", len(data), data))
        if "FLAGS" in parts:  # after the literal, as some servers have it
            words.append(f"FLAGS ({self.box.flags.get(uid, '') if self.box else ''})".encode())
        words.append(f"UID {uid}".encode())
        return b"* %d FETCH (%s)\r\n* %d FETCH (UID %d FLAGS (\\Recent))" % (number, b" ".join(words), number, uid)

    def on_noop(self, _: str) -> str:
        return "OK done"

    def on_logout(self, _: str) -> str:
        self.say("* BYE")
        return "OK done"
