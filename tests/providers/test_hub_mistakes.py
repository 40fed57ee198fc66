"""
Requests of every dialect with mistakes in them, for every type of provider.

Each case takes a request that holds nearly everything that its dialect has, and replaces, removes
or adds a few things in it by chance. The chances are the same in each run.
"""

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from proxy.domain.catalog import Deployment, Provider
from proxy.domain.errors import ProxyError
from proxy.domain.exchange import Operation
from proxy.domain.secret import Secret
from proxy.providers.registry import find_kind, find_type
from proxy.wire.dialects import find_dialect

CASES = 150
MARK: Any = {"type": "ephemeral"}
PICTURE: Any = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
SCHEMA: Any = {
    "type": "object",
    "properties": {"a": {"type": "integer", "minimum": 1}, "b": {"$ref": "#/$defs/b"}},
    "required": ["a"],
    "$defs": {"b": {"allOf": [{"properties": {"c": {"type": "string"}}, "required": ["c"]}]}},
}
MESSAGES: Any = {
    "model": "m",
    "max_tokens": 9,
    "system": [{"type": "text", "text": "s", "cache_control": MARK}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "a", "cache_control": MARK},
                {"type": "image", "source": PICTURE},
                {
                    "type": "document",
                    "source": {"type": "text", "media_type": "text/plain", "data": "d"},
                    "title": "t",
                    "citations": {"enabled": True},
                },
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "t", "signature": "lp1.gemini.c2ln"},
                {"type": "redacted_thinking", "data": "lp1.gemini.c2ln"},
                {"type": "text", "text": "b", "citations": [{"type": "char_location"}]},
                {"type": "tool_use", "id": "t1", "name": "w", "input": {"a": 1}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "t1",
                    "is_error": True,
                    "content": [
                        {"type": "text", "text": "r"},
                        {"type": "image", "source": PICTURE},
                    ],
                },
                {"type": "text", "text": "go"},
            ],
        },
    ],
    "tools": [{"name": "w", "description": "d", "input_schema": SCHEMA, "strict": True}],
    "tool_choice": {"type": "tool", "name": "w", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": SCHEMA}},
    "stop_sequences": ["a"],
    "temperature": 0.2,
    "top_p": 0.3,
    "top_k": 4,
    "metadata": {"user_id": "u"},
    "service_tier": "auto",
    "container": "c",
    "stream": True,
}
CHAT: Any = {
    "model": "m",
    "messages": [
        {"role": "developer", "content": "s"},
        {
            "role": "user",
            "name": "n",
            "content": [
                {"type": "text", "text": "a", "cache_control": MARK},
                {
                    "type": "image_url",
                    "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"},
                },
                {
                    "type": "file",
                    "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVA="},
                },
            ],
        },
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "z"}, {"type": "refusal", "refusal": "no"}],
            "reasoning_content": "r",
            "thinking_blocks": [
                {"type": "thinking", "thinking": "t", "signature": "s"},
                {"type": "redacted_thinking", "data": "d"},
            ],
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "w", "arguments": '{"a":1}'},
                    "extra_content": {"google": {"thought_signature": "c2ln"}},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "r"}]},
    ],
    "tools": [
        {
            "type": "function",
            "function": {"name": "w", "description": "d", "parameters": SCHEMA, "strict": True},
        }
    ],
    "functions": [{"name": "f"}],
    "tool_choice": {"type": "function", "function": {"name": "w"}},
    "parallel_tool_calls": False,
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}},
    "reasoning_effort": "low",
    "stop": ["a", "b"],
    "n": 1,
    "seed": 1,
    "logit_bias": {"1": 2},
    "logprobs": True,
    "top_logprobs": 2,
    "user": "u",
    "metadata": {"a": "b"},
    "temperature": 1.2,
    "presence_penalty": 0.1,
    "max_completion_tokens": 99,
    "service_tier": "flex",
    "modalities": ["text"],
    "safetySettings": [{"category": "x"}],
    "thinking": {"type": "adaptive"},
    "top_k": 3,
    "stream": True,
    "stream_options": {"include_usage": True},
}
COMPLETION: Any = {
    "model": "m",
    "prompt": "hi",
    "echo": False,
    "best_of": 1,
    "suffix": None,
    "stop": ["x"],
    "logprobs": 1,
    "max_tokens": 5,
}
GENERATE: Any = {
    "model": "m",
    "prompt": "hi",
    "max_tokens": 5,
    "temperature": 0.75,
    "k": 3,
    "p": 0.5,
    "stop_sequences": ["a"],
    "end_sequences": ["b"],
    "frequency_penalty": 0.5,
    "presence_penalty": 0.5,
    "num_generations": 1,
    "seed": 1,
    "truncate": "END",
    "return_likelihoods": "GENERATION",
    "preset": None,
    "raw_prompting": False,
    "logit_bias": {"1": 2},
}
RESPONSE: Any = {
    "model": "m",
    "instructions": "s",
    "input": [
        {"role": "developer", "content": "d"},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "a"},
                {
                    "type": "input_image",
                    "image_url": "data:image/png;base64,iVBORw0KGgo=",
                    "detail": "low",
                },
                {
                    "type": "input_file",
                    "filename": "a.pdf",
                    "file_data": "data:application/pdf;base64,JVA=",
                },
            ],
        },
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "t"}],
            "encrypted_content": "lp1.eyJtYWtlciI6ImdlbWluaSIsInNpZ25hdHVyZSI6ImMybG4ifQ==",
        },
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [
                {"type": "output_text", "text": "z", "annotations": [], "logprobs": []},
                {"type": "refusal", "refusal": "no"},
            ],
        },
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "function_call", "call_id": "c1", "name": "w", "arguments": '{"a":1}'},
        {
            "type": "function_call_output",
            "call_id": "c1",
            "output": [{"type": "input_text", "text": "r"}],
        },
    ],
    "tools": [
        {
            "type": "function",
            "name": "w",
            "description": "d",
            "parameters": SCHEMA,
            "strict": True,
        }
    ],
    "tool_choice": {
        "type": "allowed_tools",
        "mode": "required",
        "tools": [{"type": "function", "name": "w"}],
    },
    "parallel_tool_calls": False,
    "text": {
        "format": {"type": "json_schema", "name": "x", "schema": SCHEMA, "strict": True},
        "verbosity": "low",
    },
    "reasoning": {"effort": "low", "summary": "auto"},
    "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
    "top_logprobs": 2,
    "max_output_tokens": 99,
    "max_tool_calls": 3,
    "temperature": 1.2,
    "truncation": "auto",
    "metadata": {"a": "b"},
    "safety_identifier": "u",
    "prompt_cache_key": "k",
    "service_tier": "flex",
    "store": True,
    "stream": True,
    "stream_options": {"include_obfuscation": False},
}
OLLAMA_CHAT: Any = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "a", "images": ["iVBORw0KGgo="]},
        {
            "role": "assistant",
            "content": "b",
            "thinking": "t",
            "tool_calls": [{"id": "t1", "function": {"name": "w", "arguments": {"a": 1}}}],
        },
        {"role": "tool", "content": "r", "tool_name": "w", "tool_call_id": "t1"},
        {"role": "user", "content": "go"},
    ],
    "tools": [{"type": "function", "function": {"name": "w", "parameters": SCHEMA}}],
    "options": {"temperature": 0.5, "stop": ["a"], "num_predict": 9, "num_ctx": 4096, "seed": 1},
    "think": "low",
    "logprobs": True,
    "top_logprobs": 2,
    "keep_alive": "5m",
}
OLLAMA_GENERATE: Any = {
    "model": "m",
    "prompt": "p",
    "system": "s",
    "images": ["iVBORw0KGgo="],
    "format": SCHEMA,
    "options": {"top_k": 3, "top_p": 0.5, "stop": "a", "repeat_penalty": 1.1},
    "think": False,
    "raw": False,
    "keep_alive": 0,
}
WHOLE: dict[Operation, Any] = {
    "messages": MESSAGES,
    "count_tokens": MESSAGES,
    "chat": CHAT,
    "completions": COMPLETION,
    "responses": RESPONSE,
    "generate": GENERATE,
    "ollama_chat": OLLAMA_CHAT,
    "ollama_generate": OLLAMA_GENERATE,
}
ENDLESS = 1.25e200
"""Stands for a number that no float can be: it is written as 1e999."""
STRANGE: list[Any] = [
    *(ENDLESS, [ENDLESS], {"minimum": ENDLESS}),
    *(None, True, False, 0, -1, 1.5, 1e30, 10**25, "", "x", "a" * 300, [], {}, [[]], [{}], [None]),
    *({"type": "text"}, {"type": "image"}, {"type": "tool"}, {"type": "enabled"}, ["a"]),
    *("text", "image_url", "tool_use", "tool_result", "thinking", "redacted_thinking"),
    *("auto", "any", "none", "required", "assistant", "system", "tool", "user", "function"),
    *("{", "{}", "[]", "lp1.", "lp1.gemini.", "lp1.nobody.x", "data:", "data:;,", "data:a;base64,"),
    *("https://x.example/y", "file:///etc/passwd", "gs://a/b"),
    {"type": "image", "source": {"type": "url", "url": "https://x.example/y"}},
]
ADDED = ("type", "text", "content", "id", "name", "input", "source", "role", "extra")
MODELS = {
    "openai": ("gpt-5",),
    "deepseek": ("deepseek-chat",),
    "azure": ("mine",),
    "anthropic": ("claude-3-5-haiku-latest", "claude-sonnet-4-6", "sim-echo"),
    "gemini": ("gemini-2.0-flash", "gemini-2.5-flash", "gemini-3-pro"),
    "cohere": ("command-r-08-2024", "command-a-reasoning-08-2025"),
    "ollama": ("qwen3",),
}


def list_deployments() -> Iterator[Deployment]:
    for name, models in MODELS.items():
        kind = find_kind(name)
        assert kind is not None
        base_url = kind.base_url or "https://it.openai.azure.com"
        provider = Provider(name="it", type=name, base_url=base_url, api_key=Secret("sk-canary"))
        for model in models:
            yield Deployment(provider, model)


def spoil(body: Any, chance: random.Random) -> Any:
    """Return the body with one to three mistakes in it."""
    body = copy.deepcopy(body)
    for _ in range(chance.randint(1, 3)):
        holders = list(find_holders(body))
        holder = chance.choice(holders)
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        strange, way = copy.deepcopy(chance.choice(STRANGE)), chance.random()
        if not keys or way > 0.9:
            if isinstance(holder, dict):
                holder[chance.choice(ADDED)] = strange
            else:
                holder.append(strange)
        elif way < 0.6:
            holder[chance.choice(keys)] = strange
        elif way < 0.75:
            del holder[chance.choice(keys)]
        else:
            holder[chance.choice(keys)] = copy.deepcopy(chance.choice(holders))
    return body


def find_holders(value: Any) -> Iterator[Any]:
    """Find every object and list that has something in it, and all that are empty."""
    if isinstance(value, dict | list):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from find_holders(inner)


def suit(body: Any, model: str) -> Any:
    """Return the body without what a model always refuses, so that the rest of it is read."""
    if isinstance(body, dict) and model.startswith(("gemini-2", "command-")):
        # They cannot have tools and a schema at once.
        body = {
            name: body[name]
            for name in body
            if name not in ("response_format", "output_config", "text")
        }
    if isinstance(body, dict) and model == "qwen3":
        # It cannot be told that a tool must be called.
        body = {name: body[name] for name in body if name != "tool_choice"}
    return without_files(body) if model.startswith(("command-", "qwen3")) else body


def without_files(value: Any) -> Any:
    """Return the value without the parts of its lists that are files."""
    if isinstance(value, list):
        return [without_files(item) for item in value if not is_file(item)]
    if isinstance(value, dict):
        return {name: without_files(item) for name, item in value.items()}
    return value


def is_file(value: Any) -> bool:
    """True of a part that is a file, in any dialect."""
    return isinstance(value, dict) and value.get("type") in ("file", "document", "input_file")


def test_what_is_spoilt_is_good_otherwise() -> None:
    """Without mistakes each dialect's request is written for each of the types that chat."""
    for operation, body in WHOLE.items():
        for deployment in list_deployments():
            provider = find_type(deployment.provider.type)
            if operation == "count_tokens" and operation not in provider.counts:
                continue
            text = json.dumps(suit(body, deployment.model))
            ask = find_dialect(operation).parse_ask(operation, text.encode(), {})
            assert json.loads(provider.build_request(ask, deployment, {}).body)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("operation", WHOLE)
def test_a_request_is_refused_or_written(operation: Operation, seed: int) -> None:
    """Whatever mistakes a request has, it gets an error of its client's, or goes out as JSON."""
    chance = random.Random(f"{operation} {seed}")
    dialect = find_dialect(operation)
    deployments = list(list_deployments())
    written = 0
    for _ in range(CASES):
        spoilt = spoil(WHOLE[operation], chance)
        for deployment in deployments:
            text = json.dumps(suit(spoilt, deployment.model))
            body = text.replace(json.dumps(ENDLESS), "1e999").encode()
            try:
                ask = dialect.parse_ask(operation, body, {})
                provider = find_type(deployment.provider.type)
                json.loads(provider.build_request(ask, deployment, {}).body)
                written += 1
            except ProxyError as error:
                assert error.status < 500, body
                told = json.loads(dialect.build_error_body(error, "req_1"))
                said = told.get("error", told)
                assert said if isinstance(said, str) else said["message"]
    assert written > 0
