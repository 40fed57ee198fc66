"""
Replays the samples of Anthropic, Gemini, Azure and Cohere through every dialect of clients.

What a case consists of stands in `hub_samples.py`. What clients get is read by their own SDKs.
"""

import json
import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from anthropic.types import Message
from ollama import ChatResponse, GenerateResponse
from openai._models import construct_type_unchecked
from openai.types import Completion
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from proxy.domain.errors import UpstreamError
from proxy.simulator.generator import build_plan
from proxy.simulator.signature import sign_thought
from tests.providers.hub_reading import accumulate_chat, accumulate_message, values_of
from tests.providers.hub_samples import (
    NOW,
    PROVIDERS,
    Sample,
    find_deployment,
    find_error,
    list_samples,
    name_sample,
    read_expected,
    read_json,
    read_response,
    receive,
    send,
)
from tests.simulator.asking import body_of, status_of
from tests.wire.responses_client import check_invariants, split_events
from tests.wire.splits import every_cut

ALL = list_samples()
STREAMS = [sample for sample in ALL if read_response(sample[0])[1] != "json"]
OLLAMAS = ("ollama_chat", "ollama_generate")
ENDED = [
    sample
    for sample in ALL
    if not sample[0].name.startswith(("error", "truncated", "malformed", "async_filter"))
]
KINDS = ("text", "stream", "tool_call", "no_argument", "parallel", "reasoning", "refusal")
FAULTS = ("usage", "error_in_stream", "truncated", "error_key", "error_rate", "error_context")
_NUMBER = re.compile(rb"(?<=_)0{20}[0-9]{4}")

each = pytest.mark.parametrize("sample", ALL, ids=name_sample)


def in_pieces(size: int) -> Any:
    return lambda body: [body[at : at + size] for at in range(0, len(body), size)]


def settle(sample: Sample, body: bytes) -> bytes:
    """
    Return a stream as it would be if the provider's bytes had come one by one.

    What is known of the prompt's tokens when a message begins depends on what has come by then.
    """
    if sample[1] not in ("messages", "responses"):
        return body
    start, end, rest = settled_parts = body.partition(b"\n\n")
    if start.startswith(b"event: message_start\n"):
        head, _, data = start.partition(b"data: ")
        event = json.loads(data)
        del event["message"]["usage"]
        settled_parts = (head + json.dumps(event).encode(), end, rest)
    settled = b"".join(settled_parts)
    # Ids of ours are numbered as they are made: an event whose call is whole makes them earlier.
    numbers = list(dict.fromkeys(_NUMBER.findall(settled)))
    return _NUMBER.sub(lambda found: b"number %d" % numbers.index(found[0]), settled)


@each
def test_the_provider_gets_what_the_sample_says(sample: Sample) -> None:
    """Address, headers and body that go out are the expected ones, and what was left out."""
    case, operation = sample
    assert send(sample) == read_json(case / f"sent.{operation}.json")


@each
def test_the_vendor_would_take_what_is_sent(sample: Sample) -> None:
    """The simulator, as strict as the vendors and no part of the hub, takes each request."""
    sent = send(sample)
    model = find_deployment(sample[0]).model
    body = json.dumps(sent["body"] | {"model": "sim-echo"})
    if sample[0].parent.name == "gemini":
        body = json.dumps(sent["body"])
    # Signatures that the vendors have made are not the simulator's.
    body = body.replace("EqQBCkYIBxgC", sign_thought("Oslo is in Norway."))
    url = urlsplit(sent["url"].replace(model, "sim-echo"))
    headers = {name.lower(): value for name, value in sent["headers"].items()}
    plan = build_plan(
        "POST",
        f"{url.path}?{url.query}",
        body.encode(),
        created_at=NOW,
        face="http",
        headers=headers,
    )
    assert status_of(plan) == 200, body_of(plan)


@each
def test_the_client_gets_what_the_sample_says(sample: Sample) -> None:
    """Where the provider's bytes come one by one, the client gets the expected ones."""
    status, _, body = read_expected(sample)
    assert receive(sample, in_pieces(1)) == (status, body)


@pytest.mark.parametrize("sample", STREAMS, ids=name_sample)
def test_the_client_gets_the_same_however_the_bytes_came(sample: Sample) -> None:
    """In pieces of any size, or cut in two at any place, the client's answer is the same."""
    case, operation = sample
    status, _, expected = read_expected(sample)
    expected = settle(sample, expected)
    body = read_response(case)[2]
    cuts = every_cut(body) if operation == "chat" else iter([[body]])
    pieces = [*cuts, *(in_pieces(size)(body) for size in (2, 3, 7, 64))]
    for each_cut in pieces:
        got = receive(sample, lambda _, cut=each_cut: cut)  # type: ignore[misc]
        assert (got[0], settle(sample, got[1])) == (status, expected)


@pytest.mark.parametrize("sample", ENDED, ids=name_sample)
def test_the_sdk_reads_what_the_client_gets(sample: Sample) -> None:
    """OpenAI's and Anthropic's own types and accumulators take the answer to its finish."""
    _, kind, body = read_expected(sample)
    operation = sample[1]
    if operation == "generate":
        assert generation_of(sample)["generations"][0]["finish_reason"]
    elif operation == "responses":
        response = response_of(sample)
        assert response.status in ("completed", "incomplete")
        assert response.usage is not None
    elif operation in OLLAMAS:
        last = json.loads(body.splitlines()[-1])
        read_ollama = ChatResponse if operation == "ollama_chat" else GenerateResponse
        for line in body.splitlines():
            read_ollama.model_validate_json(line)
        assert (last["done"], last["done_reason"]) in ((True, "stop"), (True, "length"))
    elif kind == "json":
        model: Any = {"chat": ChatCompletion, "completions": Completion, "messages": Message}
        read = model[operation].model_validate_json(body)
        assert read.usage is not None
        assert read.stop_reason if operation == "messages" else read.choices[0].finish_reason
    elif operation == "messages":
        assert accumulate_message(body).stop_reason is not None
    elif operation == "chat":
        assert accumulate_chat(body).choices[0].finish_reason
    else:
        # The type knows no chunk without a finish reason, which each but the last one is.
        chunks: Any = [
            construct_type_unchecked(value=value, type_=Completion) for value in values_of(body)
        ]
        assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] is not None


@pytest.mark.parametrize("name", PROVIDERS)
def test_each_provider_has_its_cases(name: str) -> None:
    """Every kind of answer, every way to fail, and both clients that all providers serve."""
    wanted = {f"{name}/{case}/{op}" for case in KINDS + FAULTS for op in ("chat", "messages")}
    assert wanted <= {name_sample(sample) for sample in ALL}


def of_case(provider: str, case: str) -> list[Sample]:
    return [sample for sample in ALL if (sample[0].parent.name, sample[0].name) == (provider, case)]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_breaks_off_is_never_a_success(provider: str) -> None:
    """A truncated stream and one with an error end in an error event, in every dialect."""
    for case, code in (("truncated", "upstream_truncated"), ("error_in_stream", None)):
        for sample in of_case(provider, case):
            error = find_error(sample)
            assert error is not None
            assert code in (None, error.code)
            assert is_failure(read_expected(sample)[2])
            for word in ENDINGS:
                assert word not in read_expected(sample)[2].replace(FAILED_GENERATION, b"")


RESPONSE_ENDS = (b'"type":"response.completed"', b'"type":"response.incomplete"')
ENDINGS = (
    *(b"[DONE]", b'"finish_reason":"', b"message_stop", b"message_delta", b"stream-end"),
    *RESPONSE_ENDS,
)
FAILED_GENERATION = b'"finish_reason":"ERROR"'
FINISHES = {
    "anthropic": re.compile(rb"event: message_delta"),
    "gemini": re.compile(rb'"finishReason"|"promptFeedback"'),
    "azure": re.compile(rb'"finish_reason": "'),
    "cohere": re.compile(rb"event: message-end"),
    "ollama": re.compile(rb'\{[^\n]*"done": true'),
}
"""Where the event begins that says that an answer is complete."""
GOOD_STREAMS = [sample for sample in STREAMS if sample in ENDED]


ENDS = (b"[DONE]", b"message_stop", b"stream-end", b'"done":true', *RESPONSE_ENDS)
BETWEEN = {"ollama": b"\n"}
"""What stands between events, where that is no blank line."""


def fails(sample: Sample, body: bytes) -> bool:
    """True if a client of that stream is told that it failed, and nothing of an end."""
    status, got = receive(sample, lambda _: [body])
    if status != 200:
        return status in (502, 503)
    if any(word in got.replace(b'"done": ', b'"done":') for word in ENDS):
        return False
    return is_failure(got)


def is_failure(stream: bytes) -> bool:
    """True if the last event of a client's stream says that it has failed."""
    last = json.loads(stream.rstrip().rsplit(b"\n", 1)[-1].removeprefix(b"data: "))
    if isinstance(last.get("error"), str):
        return bool(last["error"])
    last = last.get("response", last)
    return bool(last["error"]["message"] if "error" in last else last.get("err"))


@pytest.mark.parametrize("sample", GOOD_STREAMS, ids=name_sample)
def test_what_is_cut_before_its_finish_is_never_a_success(sample: Sample) -> None:
    """Cut at any place in front of the event that has the finish, every stream is an error."""
    body = read_response(sample[0])[2]
    finish = FINISHES[sample[0].parent.name].search(body)
    assert finish is not None
    between = BETWEEN.get(sample[0].parent.name, b"\n\n")
    before, mark, _ = body[: finish.start()].rpartition(between)
    whole = len(before + mark)
    places = {*range(0, whole, 31), *range(max(whole - 20, 0), whole + 1)}
    assert [place for place in places if not fails(sample, body[:place])] == []
    assert not fails(sample, body)


@pytest.mark.parametrize("sample", GOOD_STREAMS, ids=name_sample)
def test_what_is_corrupted_is_never_a_success(sample: Sample) -> None:
    """An event with content, or with the finish, that is no JSON ends every stream as an error."""
    body = read_response(sample[0])[2]
    between = BETWEEN.get(sample[0].parent.name, b"\n\n")
    events = body.split(between)
    for number, event in enumerate(events):
        if re.search(rb'delta"|candidates|finish|done', event):
            broken = [*events[:number], event[:-1], *events[number + 1 :]]
            assert fails(sample, between.join(broken)), event


USAGES = [
    # provider, case, prompt, cached, cache-written, output, thoughts in it
    ("anthropic", "usage", 1107, 1000, 100, 2, 1),
    ("anthropic", "usage_stream", 1107, 1000, 100, 2, 0),
    ("anthropic", "stream", 61, 0, 0, 9, 0),
    ("anthropic", "reasoning", 12, 0, 0, 30, 25),
    ("gemini", "usage", 1005, 600, 0, 35, 20),
    ("gemini", "usage_inclusive", 10, 0, 0, 30, 20),
    ("gemini", "reasoning_2_5", 29, 0, 0, 819, 804),
    ("gemini", "stream", 9, 0, 0, 11, 0),
    ("cohere", "usage", 1005, 600, 0, 35, 0),
    ("cohere", "stream", 9, 0, 0, 11, 0),
    ("ollama", "usage", 1005, 0, 0, 35, 0),
    ("ollama", "reasoning", 12, 0, 0, 30, 0),
    ("azure", "usage", 1000, 600, 0, 40, 20),
    ("azure", "reasoning", 9, 0, 0, 40, 38),
]


@pytest.mark.parametrize(
    ("provider", "case", "prompt", "cached", "written", "output", "thought"), USAGES
)
def test_usage_counts_the_same_in_every_dialect(
    provider: str, case: str, prompt: int, cached: int, written: int, output: int, thought: int
) -> None:
    """
    OpenAI's clients get cached tokens as part of the prompt, Anthropic's beside it; both get
    thoughts as part of what was put out.
    """
    samples = of_case(provider, case)
    assert len(samples) >= 2
    for sample in samples:
        usage = usage_of(sample)
        if sample[1] in ("generate", *OLLAMAS):
            assert usage == {"input_tokens": prompt, "output_tokens": output}
        elif sample[1] == "responses":
            assert (usage["input_tokens"], usage["output_tokens"]) == (prompt, output)
            into = usage["input_tokens_details"]
            assert (into["cached_tokens"], into["cache_write_tokens"]) == (cached, written)
            assert usage["output_tokens_details"]["reasoning_tokens"] == thought
        elif sample[1] == "messages":
            assert usage["input_tokens"] == prompt - cached - written
            assert (usage.get("cache_read_input_tokens") or 0) == cached
            assert (usage.get("cache_creation_input_tokens") or 0) == written
            assert usage["output_tokens"] == output
        else:
            assert usage["prompt_tokens"] == prompt
            assert usage["completion_tokens"] == output
            assert usage["total_tokens"] == prompt + output
            found = usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
            assert found == cached
            details = usage.get("completion_tokens_details", {})
            assert details.get("reasoning_tokens", 0) == thought


@pytest.mark.parametrize(
    ("provider", "case", "name", "wait_s"),
    [
        ("anthropic", "error_overloaded", "UpstreamOverloaded", None),
        ("anthropic", "error_rate", "UpstreamRateLimited", 17),
        ("anthropic", "error_key", "UpstreamAuthError", None),
        ("anthropic", "error_model", "UpstreamModelNotFound", None),
        ("anthropic", "error_billing", "UpstreamQuotaExhausted", None),
        ("anthropic", "error_context", "UpstreamRejected", None),
        ("anthropic", "error_filter", "UpstreamRejected", None),
        ("gemini", "error_rate", "UpstreamRateLimited", 34.4),
        ("gemini", "error_key", "UpstreamAuthError", None),
        ("gemini", "error_credit", "UpstreamQuotaExhausted", None),
        ("gemini", "error_overloaded", "UpstreamOverloaded", None),
        ("gemini", "error_context", "UpstreamRejected", None),
        ("cohere", "error_rate", "UpstreamRateLimited", 9),
        ("cohere", "error_month", "UpstreamQuotaExhausted", None),
        ("cohere", "error_key", "UpstreamAuthError", None),
        ("cohere", "error_token", "UpstreamAuthError", None),
        ("cohere", "error_model", "UpstreamModelNotFound", None),
        ("cohere", "error_context", "UpstreamRejected", None),
        ("ollama", "error_context", "UpstreamRejected", None),
        ("ollama", "error_key", "UpstreamAuthError", None),
        ("ollama", "error_model", "UpstreamModelNotFound", None),
        ("ollama", "error_rate", "UpstreamRateLimited", None),
        ("ollama", "error_overloaded", "UpstreamOverloaded", None),
        ("ollama", "error_busy_in_stream", "UpstreamOverloaded", None),
        ("ollama", "error_thinking", "UpstreamRejected", None),
        ("azure", "error_filter", "UpstreamRejected", None),
        ("azure", "error_context", "UpstreamRejected", None),
        ("azure", "error_rate", "UpstreamRateLimited", 6.8),
        ("azure", "error_key", "UpstreamAuthError", None),
        ("azure", "error_deployment", "UpstreamModelNotFound", None),
    ],
)
def test_errors_are_of_the_class_they_are(
    provider: str, case: str, name: str, wait_s: float | None
) -> None:
    """Each vendor's error is what the pipeline has to know of it, and how long to wait."""
    for sample in of_case(provider, case):
        error = find_error(sample)
        assert isinstance(error, UpstreamError)
        assert type(error).__name__ == name
        assert error.retry_after_s == wait_s


def generation_of(sample: Sample) -> Any:
    """What a client of `generate` has of an answer in the end, and what its lines said before."""
    _, kind, body = read_expected(sample)
    if kind == "json":
        return json.loads(body)
    *lines, last = [json.loads(line) for line in body.splitlines()]
    assert last["event_type"] == "stream-end"
    said = "".join([line["text"] for line in lines])
    assert said == last["response"]["generations"][0]["text"]
    return last["response"]


def response_of(sample: Sample) -> Any:
    """What a client of responses has of an answer in the end; the SDK takes each of its events."""
    _, kind, body = read_expected(sample)
    if kind == "json":
        return Response.model_validate_json(body)
    return Response.model_validate(check_invariants(split_events(body)))


def usage_of(sample: Sample) -> dict[str, Any]:
    _, kind, body = read_expected(sample)
    if sample[1] == "generate":
        return dict(generation_of(sample)["meta"]["tokens"])
    if sample[1] == "responses":
        return dict(response_of(sample).usage.to_dict())
    if sample[1] in OLLAMAS:
        last = json.loads(body.splitlines()[-1])
        return {"input_tokens": last["prompt_eval_count"], "output_tokens": last["eval_count"]}
    if kind == "json":
        found: dict[str, Any] = json.loads(body)["usage"]
    elif sample[1] == "messages":
        found = accumulate_message(body).usage.to_dict()
    else:
        found = [value["usage"] for value in values_of(body) if value.get("usage")][-1]
    return found


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_prompt_that_is_too_long_is_said_to_be_that(provider: str) -> None:
    """OpenAI's clients get its code for it, Anthropic's the words that their agents look for."""
    for sample in of_case(provider, "error_context"):
        error = json.loads(read_expected(sample)[2])
        error = error.get("error", error)
        if sample[1] in OLLAMAS:
            assert "exceeds the available context size" in error
        elif sample[1] == "messages":
            assert re.fullmatch(r"prompt is too long: \d+ tokens > \d+ maximum", error["message"])
        else:
            assert error["code"] == "context_length_exceeded"
