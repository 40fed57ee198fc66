"""Requests in Anthropic's format: what is taken, and what is refused as the real one would."""

from typing import Any

import pytest

from proxy.simulator.generator import build_plan
from tests.simulator.asking import NOW, answer_of, body_of, status_of
from tests.simulator.native import PIXEL, TOOLS, USER, VERSION, messages_plan

THINKING = {"type": "enabled", "budget_tokens": 1024}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "now", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "noon"}


def said(model: str = "sim-echo", **fields: Any) -> Any:
    return answer_of(messages_plan(model, **fields))


def test_the_last_words_of_the_user_are_found() -> None:
    """Texts and blocks of text are read alike, and the system's words are not the user's."""
    blocks = [{"role": "user", "content": [{"type": "text", "text": "a"}]}]
    assert said(system="be kind", messages=blocks)["content"] == [{"type": "text", "text": "a"}]


def test_a_tool_loop_ends_in_a_text() -> None:
    """A result that follows its call is read, and answered with words."""
    turns = [
        *USER,
        {"role": "assistant", "content": [CALL]},
        {"role": "user", "content": [RESULT]},
    ]
    (block,) = said("sim-tools", messages=turns, tools=TOOLS)["content"]
    assert block["text"] == "The tool answered: noon"


def test_thoughts_come_back_as_they_were() -> None:
    """A thought with its own signature is taken back; altered, or left out, it is refused."""
    model = "sim-tools@3thoughts"
    thought, call = said(model, tools=TOOLS, thinking=THINKING)["content"]
    result = {**RESULT, "tool_use_id": call["id"]}
    for blocks, status in (
        ([thought, call], 200),
        ([{**thought, "thinking": "other"}, call], 400),
        ([call], 400),
    ):
        turns = [
            *USER,
            {"role": "assistant", "content": blocks},
            {"role": "user", "content": [result]},
        ]
        plan = messages_plan(model, messages=turns, tools=TOOLS, thinking=THINKING)
        assert status_of(plan) == status


def test_thoughts_of_older_loops_are_not_wanted() -> None:
    """A loop of tools that has come to its end may lack them."""
    turns = [
        *USER,
        {"role": "assistant", "content": [CALL]},
        {"role": "user", "content": [RESULT]},
        {"role": "assistant", "content": "It is noon."},
        *USER,
    ]
    plan = messages_plan("sim-tools@3thoughts", messages=turns, tools=TOOLS, thinking=THINKING)
    assert status_of(plan) == 200


def test_pictures_and_documents_are_seen() -> None:
    """`sim-look` says what was shown to it: by bytes, by address, and as a document."""
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    content = [
        {"type": "image", "source": source},
        {"type": "image", "source": {"type": "url", "url": "https://a.test/b.png"}},
        {"type": "document", "source": {**source, "media_type": "application/pdf"}},
        {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
    ]
    (block,) = said("sim-look", messages=[{"role": "user", "content": content}])["content"]
    assert block["text"] == (
        "I see: image/png of 8 bytes, https://a.test/b.png, application/pdf of 8 bytes, "
        "file:file_1."
    )


def test_the_output_format_is_kept_to() -> None:
    """With a schema in `output_config.format` the answer is JSON that fits it."""
    schema = {"type": "object", "properties": {"ok": {"const": True}}, "required": ["ok"]}
    config = {"format": {"type": "json_schema", "schema": schema}}
    assert said(output_config=config)["content"][0]["text"] == '{"ok":true}'


@pytest.mark.parametrize(
    ("choice", "calls"),
    [
        ({"type": "any"}, 2),
        ({"type": "any", "disable_parallel_tool_use": True}, 1),
        ({"type": "tool", "name": "weather"}, 2),
        ({"type": "none"}, 0),
    ],
)
def test_the_tool_choice_is_kept_to(choice: dict[str, Any], calls: int) -> None:
    """Tools are called as `tool_choice` says, one at a time where it says so."""
    blocks = said("sim-tools@2calls", tools=TOOLS, tool_choice=choice)["content"]
    assert sum(block["type"] == "tool_use" for block in blocks) == calls


@pytest.mark.parametrize(
    "fields",
    [
        {"logit_bias": {}},
        {"max_tokens": 0},
        {"messages": []},
        {"messages": [{"role": "user", "content": []}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"messages": [{"role": "user", "content": [RESULT]}]},
        {"messages": [*USER, {"role": "assistant", "content": [CALL]}]},
        {"messages": [*USER, {"role": "assistant", "content": [CALL]}, *USER]},
        {
            "messages": [
                *USER,
                {"role": "assistant", "content": [CALL]},
                {"role": "user", "content": [{"type": "text", "text": "first"}, RESULT]},
            ]
        },
        {"messages": [*USER, {"role": "assistant", "content": [{"type": "image"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
        {"tools": [{"name": "f"}]},
        {"tool_choice": {"type": "auto"}},
        {"temperature": 1.5},
    ],
)
def test_mistakes_are_refused(fields: dict[str, Any]) -> None:
    """What the real one refuses is an error of the type `invalid_request_error`."""
    plan = messages_plan("sim-echo", **fields)
    assert status_of(plan) == 400
    assert answer_of(plan)["error"]["type"] == "invalid_request_error"


def test_sampling_is_refused_by_the_newer_version() -> None:
    """`temperature` is taken under 2023-06-01, and refused under 2026-10-21."""
    body = b'{"model":"sim-echo","max_tokens":9,"temperature":1,"messages":'
    body += b'[{"role":"user","content":"hi"}]}'
    statuses = []
    for version in ("2023-06-01", "2026-10-21", "1999-01-01"):
        headers = {"anthropic-version": version}
        plan = build_plan(
            "POST", "/v1/messages", body, created_at=NOW, face="http", headers=headers
        )
        statuses.append(status_of(plan))
    assert statuses == [200, 400, 400]


def test_a_version_must_be_sent() -> None:
    """A request without `anthropic-version` is refused."""
    plan = build_plan("POST", "/v1/messages", b"{}", created_at=NOW, face="http")
    assert status_of(plan) == 400
    assert b"anthropic-version" in body_of(plan)


def test_a_prompt_is_counted() -> None:
    """The count is of the prompt with its tools, and no answer is due."""
    body = b'{"model":"sim-echo","messages":[{"role":"user","content":"one two"}]}'
    plan = build_plan(
        "POST",
        "/v1/messages/count_tokens",
        body,
        created_at=NOW,
        face="http",
        headers=VERSION,
    )
    assert answer_of(plan) == {"input_tokens": 2}
