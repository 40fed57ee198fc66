"""
Which vendor's format a request to the simulator is in, and what it asks: by its path alone.

OpenAI: `chat/completions`, `completions`, `embeddings`, `models`. Anthropic: `messages`,
`messages/count_tokens`, and `models` where `anthropic-version` is sent. Gemini:
`models/{model}:{method}`, and `v1beta/models`. Azure: all below `openai/`. Cohere: `v2/chat`,
`v2/embed`, `v1/check-api-key`, and `v1/models` where a page of them is asked for. Ollama: all
below `api/`. The Responses API, `responses` and what is below it, is OpenAI's and Azure's.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from urllib.parse import parse_qs, unquote

import msgspec
from msgspec import Struct

from proxy.domain.errors import InvalidRequest, MethodNotAllowed, RouteNotFound
from proxy.simulator import anthropic_ask, cohere_ask, gemini_ask, ollama_ask
from proxy.simulator.anthropic_format import ANTHROPIC
from proxy.simulator.ask import ChatAsk, CompletionAsk, CountAsk, EmbeddingAsk, parse_ask
from proxy.simulator.azure_format import AZURE
from proxy.simulator.cohere_format import COHERE
from proxy.simulator.gemini_format import GEMINI
from proxy.simulator.ollama_format import OLLAMA, OLLAMA_GENERATE
from proxy.simulator.openai_format import OPENAI
from proxy.simulator.response_memory import ResponseMemory
from proxy.simulator.responses_ask import read_input_count, read_response
from proxy.simulator.responses_format import RESPONSES
from proxy.simulator.wire_format import WireFormat

AnyAsk = ChatAsk | CompletionAsk | EmbeddingAsk | CountAsk
Read = Callable[[bytes], AnyAsk]
_KINDS: Mapping[str, type[ChatAsk | CompletionAsk | EmbeddingAsk]] = MappingProxyType(
    {"chat/completions": ChatAsk, "completions": CompletionAsk, "embeddings": EmbeddingAsk}
)
_COHERE: Mapping[str, Read] = MappingProxyType(
    {"v2/chat": cohere_ask.read_chat, "v2/embed": cohere_ask.read_embed}
)
_OLLAMA: Mapping[str, Read] = MappingProxyType(
    {
        "api/chat": ollama_ask.read_chat,
        "api/generate": ollama_ask.read_generate,
        "api/embed": ollama_ask.read_embed,
    }
)
_COHERES_KEY = "v1/check-api-key"
_GEMINI = re.compile(r"(?:v1beta/|v1/)?models/(?P<model>[^/:]+):(?P<method>\w+)")
_DEPLOYMENT = re.compile(r"openai/deployments/(?P<model>[^/]+)/(?P<route>[\w/]+)")
_RESPONSE = re.compile(r"responses/(?P<id>[^/]+)(?:/(?P<what>input_items))?")
_API_VERSION = re.compile(r"\d{4}-\d\d-\d\d(-preview)?")


class Door(Struct, frozen=True):
    """
    Where a request came in.

    `read` is None for lists of models; `model` is then the one that is asked for, or "". With
    `is_key` nothing is asked but whether the key is good.
    """

    format: WireFormat
    read: Read | None = None
    model: str = ""
    is_key: bool = False
    is_version: bool = False
    """Nothing is asked but which version answers."""
    look: Callable[[str], object] | None = None
    """Answers without a model, by the method of the request."""
    read_name: Callable[[bytes], str] | None = None
    """Finds the model that is asked for in the body."""


def find_format(path: str, headers: Mapping[str, str]) -> WireFormat:
    """Return the format that answers on this path have, errors too; header names in lower case."""
    route = path.strip("/")
    if route.startswith("openai/"):
        return AZURE
    if route.startswith("v1beta/") or _GEMINI.fullmatch(route):
        return GEMINI
    if route.startswith("api/"):
        return OLLAMA_GENERATE if route == "api/generate" else OLLAMA
    if route in _COHERE or route == _COHERES_KEY:
        return COHERE
    route = route.removeprefix("v1/")
    is_list = route == "models" or route.startswith("models/")
    if route == "responses" or route.startswith("responses/"):
        return RESPONSES
    if route.startswith("messages") or (is_list and "anthropic-version" in headers):
        return ANTHROPIC
    return OPENAI


def open_door(path: str, query: str, headers: Mapping[str, str], memory: ResponseMemory) -> Door:
    """
    Return what a request to this path asks for.

    Args:
        path: with or without `/v1` and percent signs.
        query: what stands behind the `?`.
        headers: of the request, names in lower case.
        memory: what is kept of earlier responses.

    Raises:
        RouteNotFound: nothing is there.
        InvalidRequest: the query lacks something.
    """
    format_ = find_format(path, headers)
    route = path.strip("/")
    if format_ is AZURE:
        return _open_azure(route, query, memory)
    if format_ is GEMINI:
        return _open_gemini(route, query)
    if route.startswith("api/"):
        return _open_ollama(route, format_)
    if format_ is COHERE:
        return Door(format_, _COHERE.get(route), is_key=route == _COHERES_KEY)
    route = route.removeprefix("v1/")
    if format_ is RESPONSES:
        return _open_responses(route, query, format_, memory)
    if format_ is OPENAI and route == "models" and _read_query(query, "page_size"):
        return Door(COHERE)
    if format_ is ANTHROPIC and not route.startswith("models"):
        if route == "messages":
            return Door(format_, lambda body: anthropic_ask.read_messages(body, headers))
        if route == "messages/count_tokens":
            return Door(format_, lambda body: anthropic_ask.read_count(body, headers))
        raise RouteNotFound()
    return _open_openai(route, format_)


def _open_openai(route: str, format_: WireFormat) -> Door:
    kind = _KINDS.get(route)
    if kind is not None:
        return Door(format_, lambda body: parse_ask(body, kind))
    if route == "models":
        return Door(format_)
    if route.startswith("models/"):
        return Door(format_, model=unquote(route[7:]))
    raise RouteNotFound()


def _open_ollama(route: str, format_: WireFormat) -> Door:
    if route in _OLLAMA:
        return Door(format_, _OLLAMA[route])
    match route:
        case "api/tags":
            return Door(format_)
        case "api/version":
            return Door(format_, is_version=True)
        case "api/show":
            return Door(format_, read_name=ollama_ask.read_name)
    raise RouteNotFound()


def _open_responses(route: str, query: str, format_: WireFormat, memory: ResponseMemory) -> Door:
    if route == "responses":
        return Door(format_, lambda body: read_response(body, memory))
    if route == "responses/input_tokens":
        return Door(format_, lambda body: read_input_count(body, memory))
    match = _RESPONSE.fullmatch(route)
    if match is None:
        raise RouteNotFound()
    response_id = unquote(match["id"])

    def look(method: str) -> object:
        if method == "DELETE" and match["what"] is None:
            return memory.delete(response_id)
        if method != "GET":
            raise MethodNotAllowed()
        if match["what"] is not None:
            return memory.list_input(response_id, parse_qs(query))
        return memory.find(response_id).response

    return Door(format_, look=look)


def _open_azure(route: str, query: str, memory: ResponseMemory) -> Door:
    of_responses = route.removeprefix("openai/").removeprefix("v1/")
    is_versioned = bool(_API_VERSION.fullmatch(_read_query(query, "api-version")))
    if of_responses.startswith("responses") and (route.startswith("openai/v1/") or is_versioned):
        return _open_responses(of_responses, query, AZURE, memory)
    if route.startswith("openai/v1/"):
        return _open_openai(route.removeprefix("openai/v1/"), AZURE)
    if not is_versioned:
        raise RouteNotFound()
    match = _DEPLOYMENT.fullmatch(route)
    if match is None:
        return _open_openai(route.removeprefix("openai/"), AZURE)
    kind = _KINDS.get(match["route"])
    if kind is None:
        raise RouteNotFound()
    model = unquote(match["model"])
    return Door(AZURE, lambda body: parse_ask(_name_model(body, model), kind))


def _open_gemini(route: str, query: str) -> Door:
    match = _GEMINI.fullmatch(route)
    if match is None:
        return _open_openai(route.removeprefix("v1beta/"), GEMINI)
    model = unquote(match["model"])
    match match["method"]:
        case "generateContent":
            return Door(GEMINI, lambda body: gemini_ask.read_generate(body, model, streams=False))
        case "streamGenerateContent":
            if _read_query(query, "alt") != "sse":
                raise InvalidRequest("The simulator streams with 'alt=sse' only.")
            return Door(GEMINI, lambda body: gemini_ask.read_generate(body, model, streams=True))
        case "countTokens":
            return Door(GEMINI, lambda body: gemini_ask.read_count(body, model))
        case "batchEmbedContents":
            return Door(GEMINI, lambda body: gemini_ask.read_embed(body, model))
    raise RouteNotFound()


def _read_query(query: str, name: str) -> str:
    return parse_qs(query).get(name, [""])[-1]


def _name_model(body: bytes, model: str) -> bytes:
    """Return a body that asks for the deployment's model, whatever it names itself."""
    try:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body
    fields["model"] = msgspec.Raw(msgspec.json.encode(model))
    return msgspec.json.encode(fields)
