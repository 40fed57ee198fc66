"""What sets one type of provider apart, as data: one `Kind` per row of a table."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

from msgspec import Struct, field

from proxy.domain.errors import NotOffered
from proxy.domain.exchange import Operation, PassedOperation
from proxy.domain.health import HealthState

UsageInStreams = Literal["ask", "always"]
ToolChoices = Literal["sets", "names", "words"]
USUAL_OPERATIONS: Mapping[str, str] = MappingProxyType(
    {
        "chat": "/chat/completions",
        "completions": "/completions",
        "embeddings": "/embeddings",
    }
)
"""What nearly everybody has who speaks OpenAI's format."""
WITH_RESPONSES: Mapping[str, str] = MappingProxyType(
    {**USUAL_OPERATIONS, "responses": "/responses"}
)
"""The same and the Responses API, which is then passed on as it comes."""
WITH_COUNTED_RESPONSES: Mapping[str, str] = MappingProxyType(
    {**WITH_RESPONSES, "input_tokens": "/responses/input_tokens"}
)
"""The same, and it can say how many tokens an input has."""
READ_AS_CHAT: tuple[Operation, ...] = (
    *("chat", "completions", "messages", "responses"),
    *("ollama_chat", "ollama_generate", "generate"),
)
"""What `wire/dialects.py` can read as a chat: whoever answers one can answer them all."""


ALL_PASSED: tuple[PassedOperation, ...] = get_args(PassedOperation)


def list_passes(*operations: PassedOperation) -> Mapping[PassedOperation, str]:
    """Return the paths of operations that are passed as they come, as OpenAI has them."""
    return MappingProxyType({operation: f"/{operation}" for operation in operations})


class Kind(Struct, frozen=True):
    """
    The facts of one provider type.

    `base_url` is None where the operator must give one. `key_variables` are environment
    names, tried in order, each also with `PROXY_API_` in front, which wins. `operations`
    are the paths behind `base_url` of what the type can do. `renames` and `drops` name
    top-level request fields. `usage_in_streams` "ask" means that `stream_options` is sent,
    "always" that usage comes unasked and the field is left out. `quirk` names the repairs of
    `quirks.py` that make its answers regular; None passes bytes through untouched.
    """

    type: str
    title: str
    base_url: str | None
    key_variables: tuple[str, ...] = ()
    needs_key: bool = True
    is_local: bool = False
    appends_v1: bool = True
    """`/v1` is put behind a `base_url` that has no path of its own."""
    operations: Mapping[str, str] = USUAL_OPERATIONS
    passes: Mapping[PassedOperation, str] = MappingProxyType({})
    """The paths behind `base_url` of what it is passed as it comes: see `passed_request.py`."""
    health_path: str = "/models"
    """What is asked, with GET and the key, to learn how it is: it costs no tokens."""
    health_at_root: bool = False
    """`health_path` does not stand behind `base_url`, but behind what is left of it in front of
    its `/v1`."""
    health_states: Mapping[int, HealthState] = field(default_factory=dict)
    """Statuses of a probe's answer that mean something of their own here."""
    limit_field: str = "max_tokens"
    """What bounds an answer's tokens, where one is asked for as a probe."""
    renames: Mapping[str, str] = field(default_factory=dict)
    drops: frozenset[str] = frozenset()
    also_takes: frozenset[str] = frozenset()
    """Fields beside OpenAI's that it is sent for clients of other dialects; for OpenAI's own all
    that the client writes is sent anyway."""
    thoughts_as: str | None = None
    """The member of an assistant's message in which it takes its own thoughts back."""
    has_schemas: bool = True
    """An answer's JSON can be bound to a schema; else clients of other dialects get JSON that is
    only asked to fit."""
    has_json_object: bool = True
    """It knows `response_format: json_object`; else it is asked for a schema of any object."""
    tool_choices: ToolChoices = "names"
    """What can be said of which tool is to be called: one of a set (`allowed_tools`), one by its
    name, or only `auto`, `none` and `required`. For clients of other dialects it is said by
    offering no other tools."""
    has_openai_models: bool = False
    """What its models take is known by OpenAI's names for them (see `openai_models.py`)."""
    efforts: Mapping[str, str] = field(default_factory=dict)
    """Its words for efforts that it does not know, for clients of other dialects."""
    thinking_off: bytes | None = None
    """Its own field `thinking` where nothing is to be thought; None: it cannot be told so."""
    usage_in_streams: UsageInStreams = "ask"
    maps_developer_role: bool = False
    """The type knows no `developer` role: such messages are sent as `system`."""
    has_versions: bool = False
    """It goes by the settings `api_version` and `auth`; for others they are a mistake."""
    has_context_window: bool = False
    """It is told with each request how many tokens of context to set aside."""
    quirk: str | None = None

    def find_path(self, operation: Operation, model: str) -> str:
        """
        Return where an operation is asked for, behind `base_url`.

        Raises:
            NotOffered: nowhere; `model` is what the client asked for.
        """
        path = self.operations.get(operation)
        if path is None:
            raise NotOffered(
                f"The provider of '{model}' ({self.title}) offers no {operation}.",
                param="model",
                code="unsupported_operation",
            )
        return path
