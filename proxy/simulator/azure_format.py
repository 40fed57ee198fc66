"""
Azure's deltas to OpenAI's format: verdicts of its content filter, its first chunk, its errors.

Source: Azure OpenAI's deployments surface; the first chunk has neither choices, id nor model.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from proxy.simulator.openai_format import OpenAIFormat, encode_frame
from proxy.simulator.wire_format import JSON_HEADERS, Chunk, Headers, Words

encode = msgspec.json.encode

_SAFE = {"filtered": False, "severity": "safe"}
_VERDICT = {name: _SAFE for name in ("hate", "self_harm", "sexual", "violence")}
_PROMPT_VERDICT = [{"prompt_index": 0, "content_filter_results": _VERDICT}]
_FIRST = {
    "choices": [],
    "created": 0,
    "id": "",
    "model": "",
    "object": "",
    "prompt_filter_results": _PROMPT_VERDICT,
}
_DEPLOYMENT_NOT_FOUND = "The API deployment for this resource does not exist."


class AzureFormat(OpenAIFormat):
    """OpenAI's chunks and bodies with what Azure puts beside them."""

    name = "azure"
    headers: Headers = (
        ("apim-request-id", "11111111-2222-3333-4444-555555555555"),
        ("x-ms-region", "Simulated"),
        ("x-ratelimit-remaining-requests", "99"),
        ("x-ratelimit-remaining-tokens", "9999"),
    )

    def encode_chunks(
        self, chunks: Sequence[Chunk], usage: Mapping[str, Any] | None
    ) -> list[bytes]:
        """Return the chunks with verdicts, and in front of them the one without anything."""
        frames = [encode_frame(_judge(chunk)) for chunk in chunks]
        return [encode_frame(_FIRST) + frames[0], *frames[1:]] if frames else frames

    def encode_body(self, body: Mapping[str, Any]) -> bytes:
        """Return a whole answer with verdicts."""
        if "choices" not in body:
            return encode(body)
        return encode({**_judge(body), "prompt_filter_results": _PROMPT_VERDICT})

    def build_error(
        self, status: int, words: Words, headers: Headers = ()
    ) -> tuple[int, Headers, bytes]:
        """Return Azure's error: its gateway says little, its content filter a lot."""
        if words.code == "content_policy_violation":
            inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": _VERDICT}
            error: dict[str, Any] = {
                "message": "The response was filtered due to the prompt triggering Azure OpenAI's "
                "content management policy.",
                "type": None,
                "param": "prompt",
                "code": "content_filter",
                "status": status,
                "innererror": inner,
            }
        elif words.code == "model_not_found":
            error = {"code": "DeploymentNotFound", "message": _DEPLOYMENT_NOT_FOUND}
        elif words.code == "invalid_api_key":
            error = {"code": "401", "message": "Access denied due to invalid subscription key."}
        else:
            error = msgspec.structs.asdict(words)
        return status, JSON_HEADERS + headers, encode({"error": error})


AZURE = AzureFormat()


def _judge(answer: Mapping[str, Any]) -> dict[str, Any]:
    choices = [{**choice, "content_filter_results": _VERDICT} for choice in answer["choices"]]
    return {**answer, "choices": choices}
