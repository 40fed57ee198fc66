"""
Reads requests in Gemini's format as the simulator understands them, and refuses bad ones.

As strict as the real one where strictness shows mistakes: unknown names, results that do not
match the calls before them, signatures that are missing or have been altered. What is asked is
planned as a chat request (`ask.py`).
"""

import base64
import re
from typing import Any, NoReturn, TypeVar

import msgspec
from msgspec import Struct

from proxy.domain.errors import InvalidRequest
from proxy.simulator.ask import (
    ChatAsk,
    CountAsk,
    EmbeddingAsk,
    Function,
    ImageUrl,
    JsonSchema,
    Message,
    Part,
    ResponseFormat,
    StreamOptions,
    Tool,
    read_base64,
)
from proxy.simulator.gemini_shapes import (
    Content,
    CountAsked,
    EmbedAsked,
    FunctionResponse,
    GenerateAsked,
    GenerationConfig,
    ToolSet,
    TurnPart,
)
from proxy.simulator.knobs import parse_model_name
from proxy.simulator.signature import is_ours

_BYPASS = base64.b64encode(b"skip_thought_signature_validator").decode()
_AS_THEY_ARE = frozenset(
    (
        *("args", "response", "parameters", "parametersJsonSchema", "responseSchema"),
        *("responseJsonSchema", "labels"),
    )
)
"""What holds names of the client's own."""
_SNAKE = re.compile(r"_([a-z])")
_SUBSET = frozenset(
    (
        *("type", "format", "title", "description", "nullable", "enum", "maxItems", "minItems"),
        *("properties", "required", "minProperties", "maxProperties", "minLength", "maxLength"),
        *("pattern", "example", "anyOf", "propertyOrdering", "default", "items", "minimum"),
        "maximum",
    )
)
"""What `parameters` and `responseSchema` may say: OpenAPI's subset, no whole JSON Schema."""
S = TypeVar("S", bound=Struct)


def read_generate(body: bytes, model: str, *, streams: bool) -> ChatAsk:
    """Return what `:generateContent` or `:streamGenerateContent` asks of `model`."""
    request = _decode(body, GenerateAsked)
    config = request.generation_config
    thinking = config.thinking_config
    if thinking is not None and None not in (thinking.thinking_budget, thinking.thinking_level):
        _refuse("You can only set only one of thinking budget and thinking level.")
    return ChatAsk(
        model=model,
        messages=_read_contents(request, model),
        n=config.candidate_count,
        max_tokens=config.max_output_tokens,
        stop=config.stop_sequences,
        stream=streams,
        stream_options=StreamOptions(include_usage=True),
        tools=_read_tools(request.tools),
        tool_choice=_read_choice(request),
        response_format=_read_format(config),
    )


def read_count(body: bytes, model: str) -> CountAsk:
    """Return what `:countTokens` asks."""
    count = _decode(body, CountAsked)
    request = count.generate_content_request
    if request is None:
        request = GenerateAsked(contents=count.contents or [])
    return CountAsk(model=model, texts=[item.text for item in _read_contents(request, model)])


def read_embed(body: bytes, model: str) -> EmbeddingAsk:
    """Return what `:batchEmbedContents` asks; each of its requests must name the same model."""
    batch = _decode(body, EmbedAsked)
    if any(item.model != f"models/{model}" for item in batch.requests):
        _refuse("requests[].model must be the model of the path.")
    texts = ["\n".join([part.text or "" for part in item.content.parts]) for item in batch.requests]
    inputs: list[str | int | list[int]] = [*texts]
    return EmbeddingAsk(
        model=model, input=inputs, dimensions=batch.requests[0].output_dimensionality
    )


def _decode(body: bytes, kind: type[S]) -> S:
    try:
        return msgspec.convert(_camel(msgspec.json.decode(body)), kind)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"Invalid JSON payload received. {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidRequest("Invalid JSON payload received.") from None


def _camel(value: Any) -> Any:
    """Return the same JSON with names in camel case, as both ways to write them are taken."""
    if isinstance(value, list):
        return [_camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    named = {_SNAKE.sub(lambda found: found[1].upper(), name): value[name] for name in value}
    return {name: item if name in _AS_THEY_ARE else _camel(item) for name, item in named.items()}


def _read_contents(request: GenerateAsked, model: str) -> list[Message]:
    messages: list[Message] = []
    if request.system_instruction is not None:
        words = [part.text or "" for part in request.system_instruction.parts]
        messages.append(Message("system", "\n".join(words)))
    must_sign = bool(parse_model_name(model)[1].thoughts)
    waiting: list[str] = []
    for content in request.contents:
        if content.role not in (None, "user", "model"):
            _refuse("Please use a valid role: user, model.")
        if content.role == "model":
            if waiting:
                _refuse("a turn with function calls must be answered before the next one.")
            waiting = _read_calls(content, must_sign=must_sign)
            words = [part.text or "" for part in content.parts if not part.thought]
            messages.append(Message("assistant", "".join(words)))
            continue
        messages += _read_user(content, waiting)
        waiting = []
    if waiting:
        _refuse("a turn with function calls must be answered.")
    return messages


def _read_calls(content: Content, *, must_sign: bool) -> list[str]:
    names: list[str] = []
    for part in content.parts:
        signature = part.thought_signature
        if signature not in (None, _BYPASS) and not is_ours(signature or ""):
            _refuse("Thought signature is not valid.")
        if part.function_call is not None:
            if must_sign and not names and signature is None:
                _refuse("Function call is missing a thought_signature in functionCall parts.")
            names.append(part.function_call.name)
    return names


def _read_user(content: Content, waiting: list[str]) -> list[Message]:
    results = [part.function_response for part in content.parts if part.function_response]
    if [result.name for result in results] != waiting:
        _refuse(
            "Please ensure that the number of function response parts is equal to the number of "
            "function call parts of the function call turn."
        )
    parts = [_read_part(part) for part in content.parts if part.function_response is None]
    messages = [Message("tool", _read_result(result)) for result in results if result is not None]
    return [*messages, Message("user", parts)] if parts else messages


def _read_result(result: FunctionResponse) -> str | list[Part]:
    said = _say(result.response)
    return [Part("text", said), *map(_read_part, result.parts)] if result.parts else said


def _say(response: dict[str, Any]) -> str:
    """Return a result as words: the `result` in it if there is nothing else."""
    if list(response) == ["result"] and isinstance(response["result"], str):
        return response["result"]
    return msgspec.json.encode(response).decode()


def _read_part(part: TurnPart) -> Part:
    if part.inline_data is not None:
        read_base64(part.inline_data.data, "contents")
        url = f"data:{part.inline_data.mime_type};base64,{part.inline_data.data}"
        return Part("image_url", image_url=ImageUrl(url))
    if part.file_data is not None:
        return Part("image_url", image_url=ImageUrl(part.file_data.file_uri))
    if part.text is None:
        _refuse("required oneof field 'data' must have one initialized field.")
    return Part("text", part.text)


def _read_tools(tools: list[ToolSet] | None) -> list[Tool] | None:
    if tools is None:
        return None
    offered = []
    for tool in tools:
        for each in tool.function_declarations or ():
            if each.parameters is not None and each.parameters_json_schema is not None:
                _refuse("parameters and parametersJsonSchema are mutually exclusive.")
            _check_subset(each.parameters)
            schema = _lower_types(each.parameters) or each.parameters_json_schema
            offered.append(Tool("function", Function(each.name, schema)))
    return offered


def _check_subset(schema: Any) -> None:
    """Refuse what only real JSON Schema has, wherever it stands in a schema."""
    if not isinstance(schema, dict):
        return
    for name, value in schema.items():
        if name not in _SUBSET:
            _refuse(f'Invalid JSON payload received. Unknown name "{name[:40]}".')
        if name == "properties":
            for inner in value.values():
                _check_subset(inner)
        elif name == "anyOf":
            for inner in value:
                _check_subset(inner)
        elif name == "items":
            _check_subset(value)


def _lower_types(value: Any) -> Any:
    """Return the schema with types as JSON Schema spells them: `STRING` is `string`."""
    if isinstance(value, list):
        return [_lower_types(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: item.lower() if name == "type" and isinstance(item, str) else _lower_types(item)
        for name, item in value.items()
    }


def _read_choice(request: GenerateAsked) -> str | dict[str, Any] | None:
    config = None
    if request.tool_config is not None:
        config = request.tool_config.function_calling_config
    if config is None:
        return None
    names = config.allowed_function_names or []
    if names and config.mode not in ("ANY", "VALIDATED"):
        _refuse("allowed_function_names should only be set when the mode is ANY or VALIDATED.")
    if config.mode == "ANY" and names:
        return {"type": "function", "function": {"name": names[0]}}
    modes = {"AUTO": "auto", "NONE": "none", "ANY": "required", "VALIDATED": "auto"}
    if config.mode not in modes:
        _refuse(f"Invalid value at 'tool_config': '{config.mode[:40]}'.")
    return modes[config.mode]


def _read_format(config: GenerationConfig) -> ResponseFormat | None:
    schema = config.response_json_schema
    if config.response_schema is not None:
        _check_subset(config.response_schema)
        schema = _lower_types(config.response_schema)
    if config.response_mime_type != "application/json":
        if schema is not None:
            _refuse("response_schema needs response_mime_type application/json.")
        return None
    if schema is None:
        return ResponseFormat("json_object")
    return ResponseFormat("json_schema", JsonSchema("answer", schema))


def _refuse(message: str) -> NoReturn:
    raise InvalidRequest(message)
