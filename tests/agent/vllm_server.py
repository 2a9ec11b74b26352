"""A small real HTTP server that speaks vLLM's routes and serves a real tiny model, adapters and reloads included.

Its forward pass is transformers' own, independent of the engines under test; what goes wrong is scripted.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import torch
from peft import PeftModel
from safetensors.torch import load_file

from agent.sampling.sample_tokens import sample_tokens


class TinyVllm:
    """What the server serves; `faults` are taken one by one, each by the next completion."""

    def __init__(self, model, tokenizer=None, *, version="0.30.1", logprobs_mode="processed_logprobs", context=384):
        self.model, self.tokenizer = model.eval(), tokenizer
        self.version, self.logprobs_mode, self.context, self.key = version, logprobs_mode, context, None
        self.faults, self.requests, self.paths = deque(), [], []
        self.num_tokens = model.config.vocab_size
        self.adapters, self.is_paused, self.is_sick, self.allows_updates = {}, False, False, True
        self.lock = threading.RLock()

    def forward(self, name, ids, past=None):
        if isinstance(self.model, PeftModel):
            if name == "base":
                with self.model.disable_adapter():
                    return self.model(torch.tensor([ids]), past_key_values=past, use_cache=True)
            if self.model.active_adapter != name:
                self.model.set_adapter(name)
        return self.model(torch.tensor([ids]), past_key_values=past, use_cache=True)

    @torch.inference_mode()
    def complete(self, body):
        ids, temperature = body["prompt"], body["temperature"]
        if body["model"] not in self.adapters and body["model"] != "base":
            return 404, {"error": {"message": "The model does not exist."}}
        if max(ids) >= self.num_tokens:
            return 400, {"error": {"message": f"Token id {max(ids)} is out of vocabulary"}}
        if len(ids) + body["max_tokens"] > self.context:
            return 400, {"error": {"message": f"This model's maximum context length is {self.context} tokens."}}
        random = np.random.Generator(np.random.PCG64(body["seed"]))
        output = self.forward(body["model"], ids)
        prompt_logprobs = self.prompt_logprobs(ids, output.logits[0]) if "prompt_logprobs" in body else None
        sampled, logprobs, top, finish = [], [], [], "length"
        while True:
            logits = output.logits[:, -1].float()
            uniforms = torch.tensor([random.random(dtype=np.float32)])
            token, logprob = sample_tokens(logits, uniforms, temperature)
            heat = temperature if temperature and self.logprobs_mode == "processed_logprobs" else 1.0
            reported = (logits / heat).log_softmax(-1)[0]
            best = reported.topk(body["logprobs"]).indices.tolist() if body["logprobs"] else []
            top.append({f"token_id:{other}": float(reported[other]) for other in best})
            sampled.append(int(token))
            logprobs.append(float(logprob if heat != 1.0 else reported[int(token)]))
            if sampled[-1] in body.get("stop_token_ids", ()):
                finish = "stop"
                break
            if len(sampled) >= body["max_tokens"]:
                break
            output = self.forward(body["model"], sampled[-1:], output.past_key_values)
        names = [f"token_id:{token}" for token in sampled]
        choice = {
            "index": 0,
            "text": "",
            "token_ids": sampled,
            "prompt_token_ids": ids,
            "prompt_logprobs": prompt_logprobs,
            "logprobs": {"token_logprobs": logprobs, "tokens": names, "top_logprobs": top, "text_offset": []},
            "finish_reason": finish,
            "stop_reason": sampled[-1] if finish == "stop" else None,
        }
        return 200, {"id": "cmpl-1", "object": "text_completion", "model": body["model"], "choices": [choice]}

    def prompt_logprobs(self, ids, logits):
        rows = logits.float().log_softmax(-1)
        return [None, *({str(t): {"logprob": float(rows[n, t]), "rank": 1}} for n, t in enumerate(ids[1:]))]

    def load_adapter(self, body):
        name, path = body["lora_name"], body["lora_path"]
        if name in self.adapters:
            return 400, {"error": {"message": f"The lora adapter '{name}' has already been loaded."}}
        if isinstance(self.model, PeftModel):
            self.model.load_adapter(path, adapter_name=name)
        else:
            self.model = PeftModel.from_pretrained(self.model, path, adapter_name=name).eval()
        self.adapters[name] = path
        return 200, f"Success: LoRA adapter '{name}' added successfully."

    def unload_adapter(self, body):
        if body["lora_name"] not in self.adapters:
            return 404, {"error": {"message": "cannot be found"}}
        del self.adapters[body["lora_name"]]
        if len(self.model.peft_config) > 1:
            self.model.delete_adapter(body["lora_name"])
        return 200, "Success"

    def reload(self, body):
        assert self.is_paused, "weights were replaced while sampling went on"
        assert body["method"] == "reload_weights"
        weights = load_file(Path(body["kwargs"]["weights_path"]) / "model.safetensors")
        missing, unexpected = self.model.load_state_dict(weights, strict=False)
        assert not unexpected
        assert set(missing) <= {"lm_head.weight"}
        return 200, {"results": [None]}

    def models(self):
        base = {"id": "base", "root": "base", "parent": None, "max_model_len": self.context}
        return {"data": [base, *({"id": name, "parent": "base"} for name in self.adapters)]}

    def answer(self, path, query, body):
        """Return the status and the JSON of a call."""
        if path in ("/v1/load_lora_adapter", "/collective_rpc", "/pause") and not self.allows_updates:
            return 404, {"detail": "Not Found"}
        if path == "/pause":
            assert query == {"mode": ["wait"]}
        if path in ("/pause", "/resume"):
            self.is_paused = path == "/pause"
        routes = {
            "/version": lambda: (200, {"version": self.version}),
            "/health": lambda: (503 if self.is_sick else 200, {}),
            "/v1/models": lambda: (200, self.models()),
            "/tokenize": lambda: (200, {"tokens": self.tokenize(body["prompt"]), "count": 0}),
            "/v1/completions": lambda: self.complete(body),
            "/v1/load_lora_adapter": lambda: self.load_adapter(body),
            "/v1/unload_lora_adapter": lambda: self.unload_adapter(body),
            "/pause": lambda: (200, {"status": "paused"}),
            "/resume": lambda: (200, {"status": "resumed"}),
            "/collective_rpc": lambda: self.reload(body),
            "/reset_prefix_cache": lambda: (200, {}),
        }
        with self.lock:
            return routes[path]()

    def tokenize(self, text):
        return self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self):
        self.respond(None)

    def do_POST(self):
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.respond(json.loads(raw) if raw else None)

    def respond(self, body):
        tiny, url = self.server.tiny, urlsplit(self.path)
        tiny.paths.append(url.path)
        if tiny.key and self.headers.get("Authorization") != f"Bearer {tiny.key}":
            return self.send(401, {"error": "Unauthorized"})
        if tiny.is_sick:
            return self.send(503, {})
        fault = None
        if url.path == "/v1/completions":
            tiny.requests.append(body)
            fault = tiny.faults.popleft() if tiny.faults else None
        if fault == "hang":
            time.sleep(3)
        elif fault == "reset":
            self.close_connection = True
            return self.connection.close()
        elif isinstance(fault, tuple):
            return self.send(fault[0], {"error": {"message": "scripted"}}, dict(fault[1:]))
        status, reply = tiny.answer(url.path, parse_qs(url.query), body)
        if callable(fault):
            fault(reply)
        self.send(status, reply, is_dropped=fault == "drop", is_garbage=fault == "garbage")
        return None

    def send(self, status, reply, headers=(), *, is_dropped=False, is_garbage=False):
        raw = b"<html>not json</html>" if is_garbage else json.dumps(reply).encode()
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw[: len(raw) // 2] if is_dropped else raw)
        if is_dropped:
            self.close_connection = True

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request, client_address):
        pass


@contextmanager
def serving(tiny):
    """Yield the address of a server of `tiny` on a free port."""
    server = Server(("127.0.0.1", 0), Handler)
    server.tiny = tiny
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
