"""What one entry of `api_keys:` may say: a key alone, or a key with what it may do."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from proxy.config.provider_schema import SECRET, Section
from proxy.config.value_types import ClientKey, Count, ModelId, Name, check_client_key, refuse


class ApiKeyEntry(Section):
    """A key, and what whoever holds it may do."""

    key: ClientKey = Field(repr=False, description="The key itself.", json_schema_extra=SECRET)
    models: Annotated[list[ModelId], Field(min_length=1)] | None = Field(
        default=None,
        description=(
            "The names this key may ask for: aliases, models and `provider/model`, each as "
            "clients write it; null is all of them. Any other name is 404, as if it did not exist."
        ),
    )
    organization_id: Name = Field(
        default="default", description="Whose key it is: limits and logs know it by this name."
    )
    rate_limit_rpm: Count | None = Field(
        default=None, description="This key's own `rate_limit_rpm`; null is the global one."
    )
    rate_limit_window: Count | None = Field(
        default=None, description="This key's own `rate_limit_window`; null is the global one."
    )


class _OrText:
    """Tells the JSON Schema that the key may stand alone, as text."""

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [{"type": "string"}, handler(core_schema)]}


def _read_entry(value: object) -> object:
    if isinstance(value, str):
        return {"key": check_client_key(value)}
    if not isinstance(value, dict | ApiKeyEntry):
        refuse(
            "this is neither a key nor a section that holds one",
            "write the key in quotes, or 'key: ...' with its settings below",
        )
    return value


ApiKey = Annotated[ApiKeyEntry, BeforeValidator(_read_entry), _OrText()]
"""An item of `api_keys`; a text is a key without settings."""
