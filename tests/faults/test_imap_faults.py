"""What must happen when a mail server is read: fault F24, and that nothing is changed there."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from inbox_env.errors import ExitCode, UpstreamError, UsageError
from inbox_env.importing.import_mail import import_mail
from inbox_env.ingest import imap, imap_place
from inbox_env.ingest.imap_place import PASSWORD_VARIABLE, ImapState, parse_imap_address
from inbox_env.ingest.records import RawMail, Reject, Skipped
from inbox_env.ingest.sources import Item, find_source, read_source
from inbox_env.store import EmailStore
from inbox_env.upkeep.mail_stats import inbox_stats
from tests.inbox_env.imap_server import PASSWORD, USER, Box, ImapServer, message


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)


@pytest.fixture
def server() -> Iterator[ImapServer]:
    with ImapServer({"INBOX": Box({uid: message(uid) for uid in (2, 3, 5, 8, 13, 21)})}) as running:
        yield running


def address(server: ImapServer, folder: str = "") -> str:
    return f"imap://{USER}@127.0.0.1:{server.port}/{folder}"


def read(server: ImapServer, folder: str = "", state: ImapState | None = None, **options: bool) -> list[Item]:
    return list(read_source(find_source(address(server, folder)), imap_state=state, **options))


def subjects(items: list[Item]) -> list[str]:
    return [item.raw.split(b"Subject: ")[1].split(b"\r\n")[0].decode() for item in items if isinstance(item, RawMail)]


def test_f24_all_mail_of_a_server_is_read_in_order_and_nothing_is_changed_there(server: ImapServer) -> None:
    server.boxes["INBOX"].flags = {3: "\\Seen \\Flagged", 5: "\\Answered", 8: "$Forwarded x"}
    server.boxes["Arbeit/Pl&AOQ-ne"] = Box({1: message(40)})
    items = read(server)
    assert subjects(items) == ["s2", "s3", "s5", "s8", "s13", "s21", "s40"]
    assert [item.labels for item in items if isinstance(item, RawMail)][1:4] == [
        ("Flagged",), ("Replied",), ("Forwarded",)
    ]  # fmt: skip
    last = items[-1]
    assert isinstance(last, RawMail)
    assert (last.folder, last.path) == ("Arbeit/Pläne", "imap://127.0.0.1/Arbeit/Pläne;UID=1")
    words = {command.upper().split(" ")[0] for command in server.commands}
    assert words <= {"CAPABILITY", "LOGIN", "LIST", "EXAMINE", "UID", "LOGOUT"}
    fetches = [command for command in server.commands if command.upper().startswith("UID FETCH")]
    assert fetches
    assert not any("BODY[" in command or "RFC822)" in command for command in fetches)


def test_f24_a_server_says_beforehand_how_many_bytes_are_to_come(
    server: ImapServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap, "SIZES_AT_ONCE", 2)
    server.boxes["Big"] = Box({uid: message(50 + uid, "X-Pad: " + "x" * 100_000) for uid in range(1, 9)})
    server.boxes["Junk"] = Box({1: message(40)}, attributes="\\Junk")
    server.boxes["Closed"] = Box({1: message(41)}, is_closed=True)
    wanted = [*server.boxes["INBOX"].messages.values(), *server.boxes["Big"].messages.values()]
    total, seen = sum(map(len, wanted)), list[tuple[int, int]]()
    read_again = ([address(server)], tmp_path / "my.db", "me")
    summary = import_mail(*read_again, progress=lambda done, whole: seen.append((done, whole)))
    assert (summary.imported, summary.skipped, summary.rejected) == (14, {"IMAP Junk": 1}, 1)
    assert {whole for _, whole in seen} == {total}
    assert seen == sorted(seen)
    assert seen[-1] == (total, total)
    assert len(seen) > 3
    server.boxes["Big"].messages[9] = message(60, "X-Pad: " + "x" * 300_000)
    seen.clear()
    import_mail(*read_again, progress=lambda done, whole: seen.append((done, whole)))
    assert seen[-1][1] == len(server.boxes["Big"].messages[9]), "only what is new"
    store = EmailStore.open(tmp_path / "my.db")
    assert inbox_stats(store, "me").num_copies == 0, "what is read bit by bit is added up"
    store.close()


def test_f24_a_wrong_password_is_said_and_not_shown(server: ImapServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "wr0ng-canary")
    with pytest.raises(UpstreamError, match="refused the login") as caught:
        read(server)
    assert caught.value.exit_code == ExitCode.UPSTREAM
    assert "canary" not in caught.value.line()
    assert USER in caught.value.line()


@pytest.mark.parametrize("num_before", range(6))
def test_f24_a_dropped_connection_is_taken_up_where_it_ended(
    server: ImapServer, num_before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap, "BATCH_BYTES", 250)
    server.drop_after = num_before
    state, got = ImapState(), list[Item]()
    with pytest.raises(UpstreamError, match="broke off") as caught:
        got.extend(read_source(find_source(address(server)), imap_state=state))
    assert caught.value.exit_code == ExitCode.UPSTREAM
    assert "run the same command again" in caught.value.line()
    server.drop_after = -1
    kept = ImapState.model_validate_json(state.model_dump_json())
    got += read(server, state=kept)
    assert subjects(got) == ["s2", "s3", "s5", "s8", "s13", "s21"]
    assert read(server, state=kept) == []
    server.boxes["INBOX"].messages[34] = message(34)
    assert subjects(read(server, state=kept)) == ["s34"]


def test_f24_a_folder_that_is_numbered_anew_is_read_from_the_start(server: ImapServer) -> None:
    state = ImapState()
    assert len(read(server, state=state)) == 6
    server.boxes["INBOX"].uidvalidity += 1
    assert len(read(server, state=state)) == 6
    assert state.restarted == ["INBOX"]
    assert "restarted" not in state.model_dump_json()
    assert read(server, state=state) == []


def test_f24_what_the_server_does_not_give_is_a_reject(server: ImapServer) -> None:
    server.withheld = {5}
    server.boxes["Closed"] = Box({1: message(1)}, is_closed=True)
    rejects = [item for item in read(server) if isinstance(item, Reject)]
    assert [(reject.path.rpartition("/")[2], reject.reason) for reject in rejects] == [
        ("INBOX;UID=5", "the mail server did not give it"),
        ("Closed", "the mail server does not open this folder"),
    ]
    with pytest.raises(UsageError, match="no such folder"):
        read(server, "Nowhere")


def test_f24_junk_and_trash_are_counted_and_a_collection_gives_only_what_it_alone_has(server: ImapServer) -> None:
    server.boxes = {
        "[Gmail]": Box({}, attributes="\\Noselect"),
        "[Gmail]/All": Box({1: message(2), 2: message(99), 3: message(3)}, attributes="\\All"),
        "Junk": Box({1: message(70), 2: message(71)}, attributes="\\Junk"),
        **server.boxes,
        "Bin": Box({1: message(72)}, attributes="\\Trash"),
    }
    items = read(server)
    assert subjects(items) == ["s2", "s3", "s5", "s8", "s13", "s21", "s99"]
    reasons = [item.reason for item in items if isinstance(item, Skipped)]
    assert sorted(reasons) == ["IMAP Junk"] * 2 + ["IMAP Trash"] + ["in another folder as well"] * 2
    assert sorted(subjects(read(server, include_spam=True)))[-3:] == ["s72", "s8", "s99"]
    assert subjects(read(server, "Junk")) == ["s70", "s71"]


def test_f24_a_folder_of_any_size_comes_in_answers_of_bounded_size(
    server: ImapServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap, "BATCH_BYTES", 50_000)
    monkeypatch.setattr(imap, "MAX_MESSAGE_BYTES", 30_000)
    monkeypatch.setattr(imap, "KEPT_OF_TOO_LARGE", 1_000)
    sizes = {uid: 40_000 if uid == 77 else 1_000 * (uid % 20) for uid in range(1, 251)}
    server.boxes["INBOX"].messages = {uid: message(uid) + b"x" * size for uid, size in sizes.items()}
    items = read(server)
    assert subjects(items) == [f"s{uid}" for uid in sizes]
    assert [len(item.raw) for item in items if isinstance(item, RawMail) and "too_large" in item.defects] == [1_000]
    for command in server.commands:
        if "BODY.PEEK[]" in command:
            asked = [int(uid) for uid in command.split(" ")[2].split(",")]
            assert sum(len(server.boxes["INBOX"].messages[uid]) for uid in asked) <= 50_000
            assert len(asked) <= imap.BATCH_MESSAGES


def certificate(folder: Path, host: str) -> tuple[Path, ssl.SSLContext]:
    """Make a certificate for the host that vouches for itself, and a server's context with it."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    names: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_address(host))]
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    public, private = folder / f"{host}.pem", folder / f"{host}.key"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return public, context


@pytest.mark.parametrize(("host", "is_trusted"), [("127.0.0.1", True), ("127.0.0.1", False), ("10.9.8.7", True)])
def test_f24_only_a_certificate_that_holds_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, is_trusted: bool
) -> None:
    public, context = certificate(tmp_path, host)
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(public))
    with ImapServer({"INBOX": Box({1: message(1)})}, tls=context) as server:
        source = find_source(f"imaps://{USER}@127.0.0.1:{server.port}/INBOX")
        if is_trusted and host == "127.0.0.1":
            assert subjects(list(read_source(source))) == ["s1"]
            return
        with pytest.raises(UpstreamError, match="certificate") as caught:
            list(read_source(source))
        assert caught.value.exit_code == ExitCode.UPSTREAM
        assert server.commands == []


def test_f24_a_server_that_is_not_there_or_says_nothing_is_said_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inbox_env.ingest.imap_session.TIMEOUT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        for scheme in ("imap", "imaps"):
            with pytest.raises(UpstreamError, match="cannot be reached"):
                list(read_source(find_source(f"{scheme}://{USER}@127.0.0.1:{port}")))
    with pytest.raises(UpstreamError, match="cannot be reached"):
        list(read_source(find_source(f"imap://{USER}@127.0.0.1:{port}")))


def test_f24_a_password_comes_from_the_environment_the_keyring_or_a_prompt_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = parse_imap_address("imaps:/ann%40x.org@[::1]:1993/Sent%20mail")
    assert (place.user, place.host, place.port, place.folder) == ("ann@x.org", "::1", 1993, "Sent mail")
    assert place.is_loopback
    with pytest.raises(UsageError) as caught:
        find_source("imaps://ann:hunter2@x.org@imap.x.org/INBOX")
    assert "hunter2" not in str(caught.value)
    monkeypatch.delenv(PASSWORD_VARIABLE)
    asked = []
    monkeypatch.setattr("keyring.get_password", lambda service, user: asked.append((service, user)) or "stored")
    assert imap_place.password_of(place) == "stored"
    assert asked == [("mailsleuth", "ann@x.org@::1")]
    monkeypatch.setattr("keyring.get_password", lambda service, user: None)
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(UsageError, match="no password"):
        imap_place.password_of(place)


def test_f24_plain_text_is_spoken_with_this_machine_only(monkeypatch: pytest.MonkeyPatch) -> None:
    used = []
    monkeypatch.setattr("imap_tools.MailBoxStartTls", lambda host, port, **options: used.append((host, options)))
    monkeypatch.setattr("imap_tools.MailBoxUnencrypted", lambda *_, **__: pytest.fail("spoke plain text"))
    from inbox_env.ingest.imap_session import _connect

    _connect(parse_imap_address("imap://ann@imap.x.org"))
    ((host, options),) = used
    assert host == "imap.x.org"
    assert options["ssl_context"].verify_mode == ssl.CERT_REQUIRED
    assert options["ssl_context"].check_hostname


def test_the_address_alone_is_the_fingerprint(server: ImapServer) -> None:
    before = find_source(address(server, "INBOX")).fingerprint()
    server.boxes["INBOX"].messages[99] = message(99)
    assert find_source(Path(address(server, "INBOX"))).fingerprint() == before
    assert find_source(address(server, "Other")).fingerprint() != before


def test_f24_a_missing_package_is_named(server: ImapServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "imap_tools", None)
    with pytest.raises(UsageError, match=r"pip install -e '\.\[imap\]'"):
        read(server)
    assert server.commands == []
