"""F43 and the judge's part of F60 to F62 in `mailsleuth train`: exit codes, refusals, and what may never be leaked."""

from __future__ import annotations

import logging

import pytest
import torch

from inbox_env.errors import ExitCode
from scripts.cli import main
from tests.agent.chat_server import failing, hang, serving
from tests.faults.judge_site import SAID, by_place, make_judge_site
from tests.faults.test_training_faults import CONFIG, SYNTHETIC

CANARY = "sk-canary-0123456789abcdef"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return make_judge_site(tmp_path_factory.mktemp("judge"))


@pytest.fixture
def train(site, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    config = CONFIG.replace('path = "base"', f'path = "{site / "base"}"').replace(
        "max_new_tokens = 6", "max_new_tokens = 30"
    )
    (tmp_path / "run.toml").write_text(config + SYNTHETIC)
    num_threads = torch.get_num_threads()

    def run(*options):
        sets = [part for option in options for part in (("--set", option) if "=" in option else (option,))]
        return main(["train", "--config", "run.toml", *sets]), capsys.readouterr()

    yield run
    torch.set_num_threads(num_threads)


def judged_by(server):
    return ["judge.model=openai/m", f"judge.api_base={server.url}", "judge.retry_seconds=0", "judge.pause_seconds=0.3"]


def test_f43_the_command_exits_6_and_resumes(train, tmp_path):
    with serving(failing(503)) as server:
        code, streams = train(*judged_by(server))
    assert code == ExitCode.UPSTREAM
    assert streams.err.splitlines()[-1].startswith("error[E-NET-75]: the judge is out of order: api: ServiceUnavail")
    with serving(by_place) as server:
        changed = [option.replace("pause_seconds=0.3", "pause_seconds=9") for option in judged_by(server)]
        code, streams = train("--resume", *changed)
        assert code == ExitCode.USAGE  # another address is another judge
        assert "judge.api_base" in streams.err
        assert train("--clean", *judged_by(server))[0] == 0
    assert (tmp_path / "data" / "runs" / "run" / "judge.sqlite").is_file()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["reward.kind=ruler"], "needs a judge"),
        (["reward.kind=custom"], "reward.function go together"),
        (["reward.kind=custom", "reward.function=no/file.py:f"], "no such file to reward with"),
        (["reward.kind=custom", "reward.function=json:dumps"], "another signature"),
        (["judge.model=m", "judge.api_base=http://127.0.0.1:1"], "no model named by 'm'"),
        (["judge.model=openai/m", "judge.api_base=https://k:secret@x.example"], "keys belong in the environment"),
        (["judge.model=openai/m", "judge.api_base=https://x.example/v1"], "--yes-send"),
    ],
)
def test_f61_what_cannot_be_used_or_may_not_be_sent_is_refused_before_anything_is_made(train, tmp_path, options, words):
    code, streams = train(*options)
    assert code == ExitCode.USAGE
    assert words in streams.err
    assert "secret" not in streams.err
    assert streams.err.splitlines()[-1].startswith("error[E-USE-")
    assert not (tmp_path / "data" / "runs").exists()


def test_f60_f62_no_key_and_no_mail_is_in_any_file_or_stream_beyond_what_is_meant_to_hold_it(train, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    echo = failing(400, f"Incorrect API key provided: {CANARY}. See https://x.example/?key={CANARY}")
    script = [echo, failing(500, f"key={CANARY}"), by_place, hang, by_place, echo, by_place]
    with serving(*script) as server:
        code, streams = train(*judged_by(server), "judge.call_seconds=0.5", "--debug")
        assert (code, streams.err) == (0, "")
        assert {header["authorization"] for header in server.headers} == {f"Bearer {CANARY}"}
    with serving(failing(401, CANARY)) as server:
        code, refused = train("--clean", *judged_by(server), "--debug")
        assert code == ExitCode.UPSTREAM
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    ours = "".join(record.getMessage() for record in caplog.records if not record.name.startswith("openai"))
    assert CANARY.encode() not in files
    assert CANARY not in streams.out + streams.err + refused.out + refused.err + ours
    assert SAID[0] not in streams.err + refused.err + ours
