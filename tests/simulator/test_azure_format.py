"""Azure's deltas to OpenAI's format."""

from typing import Any

import pytest
from openai import AsyncAzureOpenAI, NotFoundError

from proxy.simulator.generator import build_plan
from proxy.simulator.plan import Plan
from proxy.simulator.server import RunningSimulator
from tests.simulator.asking import NOW, answer_of, chat_body, chunks_of, status_of

PATH = "/openai/deployments/{}/chat/completions"


def azure_plan(model: str, query: str = "api-version=2025-01-01-preview", **more: Any) -> Plan:
    path, body = PATH.format(model), chat_body("another", **more)
    return build_plan("POST", f"{path}?{query}", body, created_at=NOW, face="http")


def test_the_deployment_is_the_model() -> None:
    """The name in the path counts, whatever the body says; verdicts stand beside the answer."""
    answer = answer_of(azure_plan("sim-echo"))
    assert answer["model"] == "sim-echo"
    assert answer["choices"][0]["content_filter_results"]["hate"]["severity"] == "safe"
    assert "prompt_filter_results" in answer


def test_the_first_chunk_has_nothing() -> None:
    """A stream begins with a chunk without choices, id, model and time."""
    first, second, *_ = chunks_of(azure_plan("sim-echo", stream=True))
    assert (first["choices"], first["id"], first["model"], first["created"]) == ([], "", "", 0)
    assert second["id"].startswith("chatcmpl-")


def test_a_version_must_be_named() -> None:
    """Without `api-version` there is nothing at a deployment; below `/openai/v1` there is."""
    assert status_of(azure_plan("sim-echo", query="")) == 404
    plan = build_plan(
        "POST", "/openai/v1/chat/completions", chat_body("sim-echo"), created_at=NOW, face="http"
    )
    assert "prompt_filter_results" in answer_of(plan)


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("nobody", "DeploymentNotFound"),
        ("sim-fault-u25-401", "401"),
        ("sim-fault-u27-content-filter", "content_filter"),
        ("sim-fault-u27-context-length", "context_length_exceeded"),
    ],
)
def test_errors_are_azures(model: str, code: str) -> None:
    """Deployments, keys and filters are refused in Azure's words, all else in OpenAI's."""
    assert answer_of(azure_plan(model))["error"]["code"] == code


async def test_the_sdk_speaks_to_the_simulator(simulator: RunningSimulator) -> None:
    """OpenAI's client for Azure is answered, and told of a deployment that is not there."""
    async with AsyncAzureOpenAI(
        azure_endpoint=simulator.url,
        api_key="sim-test-key",
        api_version="2025-01-01-preview",
        max_retries=0,
    ) as client:
        asked: Any = {"messages": [{"role": "user", "content": "hi"}]}
        answer = await client.chat.completions.create(model="sim-echo", **asked)
        assert answer.choices[0].message.content == "hi"
        with pytest.raises(NotFoundError) as raised:
            await client.chat.completions.create(model="nobody", **asked)
        assert raised.value.code == "DeploymentNotFound"
