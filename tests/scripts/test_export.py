"""`mailsleuth export`: nothing leaves unasked, and private mail's model only with consent."""

from __future__ import annotations

import pytest

from agent import model_export
from scripts.cli import main
from tests.agent.test_model_export import Hub, mailbox_config, write_run
from tests.agent.tiny import make_config, make_tokenizer, write_model_folder


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    write_model_folder(folder / "base", make_tokenizer())
    write_run(folder / "invented", make_config(folder), 2)
    write_run(folder / "own", mailbox_config(folder), 2)
    return folder


@pytest.fixture
def hub(monkeypatch):
    hub, push = Hub(), model_export.push
    monkeypatch.setattr(model_export, "push", lambda folder, name: push(folder, name, api=hub))
    return hub


def test_without_push_nothing_leaves(site, tmp_path, hub, capsys):
    assert main(["export", str(site / "own"), "--out", str(tmp_path / "out")]) == 0
    assert "exported to" in capsys.readouterr().out
    assert hub.created == []


def test_f63_a_model_of_private_mail_is_pushed_only_with_consent(site, tmp_path, hub, capsys):
    command = ["export", str(site / "own"), "--out", str(tmp_path / "out"), "--push", "me/mine"]
    assert main(command) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "--i-own-this-mail" in err
    assert hub.created == []
    assert not (tmp_path / "out").exists()
    assert main([*command, "--i-own-this-mail"]) == 0
    assert hub.created == [("me/mine", True)]


def test_f63_a_model_of_invented_mail_needs_none(site, tmp_path, hub):
    assert main(["export", str(site / "invented"), "--out", str(tmp_path / "out"), "--push", "me/mine"]) == 0
    assert hub.created == [("me/mine", True)]


def test_f63_a_dry_run_lists_what_would_leave_and_sends_nothing(site, tmp_path, hub, capsys):
    command = ["export", str(site / "own"), "--out", str(tmp_path / "out"), "--push", "me/mine", "--dry-run"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "adapter_model.safetensors" in out
    assert "needs --i-own-this-mail" in out
    assert "trajectories" not in out
    assert hub.created == []


@pytest.mark.parametrize("name", ["mine", "me/mine/too", "../x", "me/", "https://evil.example/x"])
def test_a_wrong_name_is_refused_before_anything_is_written(site, tmp_path, hub, name):
    assert main(["export", str(site / "invented"), "--out", str(tmp_path / "out"), "--push", name]) == 2
    assert not (tmp_path / "out").exists()


def test_a_folder_without_a_model_is_refused(tmp_path, capsys):
    assert main(["export", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "no model here" in capsys.readouterr().err
