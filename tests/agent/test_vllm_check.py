"""A server that would spoil a run is refused before anything is sampled, with the option that mends it."""

from __future__ import annotations

import pytest

from agent.sampling.server_url import check_server_url
from inbox_env.errors import ExitCode, MailsleuthError, UpstreamError, UsageError
from tests.agent.remote import expected, lora, plain, remote, wide_model
from tests.agent.tiny import make_model
from tests.agent.vllm_server import TinyVllm

CONTENT = {"version": "0.29.3", "logprobs_mode": "raw_logprobs", "context": 100}


def refused(chat, tokenizer, folder, *, model=None, tiny=None, **changes):
    """Start an engine that must refuse its server; returns the error."""
    model = model or wide_model()
    tiny = tiny or TinyVllm(plain(model), tokenizer)
    options = {"tinies": [tiny], "is_started": False}
    with remote(model, chat, tokenizer, folder, **options) as (engine, _), pytest.raises(MailsleuthError) as caught:
        engine.start(expected(model, chat, **changes))
    assert "\n" not in caught.value.line()
    return caught.value


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("version", ["vllm 0.29.3 is older than 0.30", "pip install"]),
        ("logprobs_mode", ["another temperature", "--logprobs-mode processed_logprobs"]),
        ("context", ["100 tokens is shorter", "--max-model-len 384"]),
    ],
)
def test_a_server_started_wrongly_is_refused_with_the_option_to_set(chat, tokenizer, tmp_path, name, words):
    tiny = TinyVllm(plain(wide_model()), tokenizer, **{name: CONTENT[name]})
    error = refused(chat, tokenizer, tmp_path, tiny=tiny)
    assert error.exit_code == ExitCode.USAGE
    for word in words:
        assert word in error.line()


@pytest.mark.parametrize("version", ["0.30.0", "0.32.1.dev5+g1234", "1.0"])
def test_versions_from_the_floor_on_are_taken(chat, tokenizer, tmp_path, version):
    model = wide_model()
    tiny = TinyVllm(plain(model), tokenizer, version=version)
    with remote(model, chat, tokenizer, tmp_path, tinies=[tiny]) as (engine, _):
        assert engine.fleet.up


def test_another_tokenizer_or_vocabulary_is_refused(chat, tokenizer, tmp_path):
    assert "tokenizer" in refused(chat, tokenizer, tmp_path, text_ids=(1, 2, 3)).line()
    tiny = TinyVllm(plain(wide_model()), tokenizer)
    assert "vocabulary is larger" in refused(chat, tokenizer, tmp_path, tiny=tiny, vocab_size=600).line()
    tiny.num_tokens = 600
    assert isinstance(refused(chat, tokenizer, tmp_path, tiny=tiny), UpstreamError)


def test_an_adapter_on_another_base_model_is_refused(chat, tokenizer, tmp_path):
    tiny = TinyVllm(plain(wide_model(seed=5)), tokenizer)
    error = refused(chat, tokenizer, tmp_path, model=lora(wide_model()), tiny=tiny)
    assert "weights are not the trainer's" in error.line()


@pytest.mark.parametrize("is_adapter", [True, False])
def test_a_server_that_takes_no_weights_is_refused(chat, tokenizer, tmp_path, is_adapter):
    model = lora(make_model()) if is_adapter else make_model()
    tiny = TinyVllm(plain(model), tokenizer)
    tiny.allows_updates = False
    assert (
        "takes no " + ("adapters" if is_adapter else "weights")
        in refused(chat, tokenizer, tmp_path, model=model, tiny=tiny).line()
    )


def test_nobody_at_the_address_is_an_upstream_failure(chat, tokenizer, tmp_path):
    tiny = TinyVllm(plain(wide_model()), tokenizer)
    tiny.is_sick = True
    error = refused(chat, tokenizer, tmp_path, tiny=tiny)
    assert (error.exit_code, "is vLLM running there?" in error.line()) == (ExitCode.UPSTREAM, True)


def test_the_key_of_the_environment_opens_the_server_and_is_never_shown(chat, tokenizer, tmp_path, monkeypatch):
    tiny = TinyVllm(plain(wide_model()), tokenizer)
    tiny.key = "sk-canary"
    monkeypatch.setenv("VLLM_API_KEY", "wrong-canary")
    assert "canary" not in refused(chat, tokenizer, tmp_path, tiny=tiny).line()
    monkeypatch.setenv("VLLM_API_KEY", "sk-canary")
    with remote(wide_model(), chat, tokenizer, tmp_path, tinies=[tiny]) as (engine, _):
        assert engine.fleet.up


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/", "http://[::1]:8000", "http://localhost:8000"])
def test_this_machine_is_taken_in_silence(url, caplog):
    assert check_server_url(url, allow_public=False) == url.rstrip("/")
    assert not caplog.records


@pytest.mark.parametrize("url", ["http://10.1.2.3:8000", "http://192.168.0.9", "https://[fd00::1]"])
def test_a_private_address_is_taken_and_said_once(url, caplog):
    assert check_server_url(url, allow_public=False) == url
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "private" in caplog.text


def test_a_public_address_needs_a_yes(caplog):
    with pytest.raises(UsageError, match=r"mail.*8\.8\.8\.8.*allow_public_servers"):
        check_server_url("https://8.8.8.8:8000", allow_public=False)
    assert check_server_url("https://8.8.8.8:8000", allow_public=True)
    assert "PUBLIC" in caplog.text


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8000", "ftp://127.0.0.1", "http://", "http://me:secret@127.0.0.1", "http://no.such.invalid"]
)
def test_what_is_no_address_is_refused_without_showing_a_password(url):
    with pytest.raises(UsageError) as caught:
        check_server_url(url, allow_public=True)
    assert "secret" not in caught.value.line()
