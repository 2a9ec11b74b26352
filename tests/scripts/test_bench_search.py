"""The search and read benchmarks: all engines find the same, and the report holds what it promises."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inbox_env.inbox import Inbox
from inbox_env.store import EmailStore
from scripts.bench_mailbox import MailboxSize, MailWriter, ensure_mailbox
from scripts.bench_queries import KINDS, draw_queries
from scripts.cli import main

SIZE = ["--mails", "900", "--inboxes", "4"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def test_the_invented_mailbox_is_the_same_every_time_and_of_the_size_asked() -> None:
    size = MailboxSize(900, 4)
    first, second = ([list(MailWriter(size).mails(inbox)) for inbox in range(4)] for _ in range(2))
    assert first == second
    assert sum(map(len, first)) == 900
    for mails in first:
        assert len({mail.date for mail in mails}) == len(mails)


def test_queries_of_every_kind_match_something(cache: Path) -> None:
    store = EmailStore.open(ensure_mailbox(MailboxSize(900, 4), cache))
    asked = draw_queries(store, ["inbox000", "inbox002"], 42)
    assert {one.kind for one in asked} == set(KINDS)
    assert all(one.query.keywords for one in asked)
    assert any(one.query.from_addr for one in asked)
    for one in asked:
        assert Inbox(store, one.inbox).search(one.query, as_of=None).num_matches > 0


@pytest.mark.parametrize("without", [["--without", "whoosh"], []])
def test_all_engines_find_the_same(
    cache: Path, without: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tantivy", reason="the extra 'bench' is not installed")
    monkeypatch.setenv("XDG_STATE_HOME", str(cache / "state"))
    options = [*SIZE, "--cache", str(cache), "--queries", "56", "--json", *without]
    assert main(["bench-system", "search", *options]) == 0
    report = json.loads(capsys.readouterr().out)
    compared = {"arte", "tantivy"} | ({"whoosh"} if not without else set())
    assert set(report["same_ids"]) == compared
    for same in report["same_ids"].values():
        number, _, total = same.split()
        assert number == total != "0"
    assert report["mails"] == 900
    assert report["engines"]["arte"]["ratio"]["mean"] > 0
    assert report["growth"]["few"] == 1


def test_the_read_benchmark_reports_reads_opening_and_throughput(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [*SIZE, "--cache", str(cache), "--reads", "40", "--searches", "64", "--threads", "8"]
    assert main(["bench-system", "read", *options, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report["at_once"]) == {"1 threads", "8 threads"}
    assert report["at_once"]["8 threads"]["errors"] == 0
    for figures in (*report["read"].values(), *report["open"].values()):
        assert all(figures[clock][share] > 0 for clock in ("cpu_ms", "wall_ms") for share in ("p50", "p95"))
    compared = report["compared"]
    assert compared["same"] == compared["reads"] == 40
    assert set(compared["readers"]) == {"mailsleuth", "arte", "stdlib mailbox"}
    assert compared["readers"]["stdlib mailbox"]["ratio"]["read p50"] > 1
    assert main(["bench-system", "read", *options, "--alone"]) == 0
    assert "900" in capsys.readouterr().out
