"""What `discovery:` may say: where providers are searched for, and what is allowed of them."""

from typing import Annotated

from pydantic import Field

from proxy.config.provider_schema import Section
from proxy.config.value_types import (
    BaseUrl,
    CaFile,
    HttpUrl,
    Name,
    Network,
    Rank,
    VariableName,
)

LabelSelector = Annotated[str, Field(min_length=1, max_length=500)]
Label = Annotated[str, Field(min_length=1, max_length=200)]


class KubernetesEntry(Section):
    """A search in the EndpointSlices of a Kubernetes cluster."""

    label_selector: LabelSelector = Field(
        description="Which EndpointSlices: `llm-proxy=true`, `app in (vllm, tgi)`."
    )
    namespace: Name | None = Field(
        default=None, description="Where they are; the namespace of this pod if not set."
    )
    port: Name | None = Field(
        default=None, description="The name of the port to use; the first one if not set."
    )
    api_url: HttpUrl | None = Field(
        default=None, description="The API server; in a pod it is known."
    )
    token_file: CaFile | None = Field(
        default=None, description="The file with the token; in a pod it is known."
    )
    ca_file: CaFile | None = Field(
        default=None,
        description="The PEM file with the API server's authority; in a pod it is known.",
    )


class ConsulEntry(Section):
    """A search in the catalog of Consul."""

    url: BaseUrl = Field(default="http://127.0.0.1:8500", description="Where its API is.")
    services: Annotated[list[Label], Field(min_length=1)] = Field(
        description="The names of the services whose healthy instances are providers."
    )
    tag: Label | None = Field(
        default=None, description="Only instances that have this tag; null is all."
    )
    token_env: VariableName | None = Field(
        default=None, description="The environment variable that holds the token."
    )


class DiscoveryEntry(Section):
    """Where providers are searched for besides `provider_registry_url`, and what is allowed."""

    kubernetes: KubernetesEntry | None = Field(
        default=None, description="Searches a Kubernetes cluster; null does not."
    )
    consul: ConsulEntry | None = Field(default=None, description="Searches Consul; null does not.")
    local_servers: bool = Field(
        default=False,
        description=(
            "true looks for LM Studio, llama.cpp and Ollama at their own ports of this machine."
        ),
    )
    registry_token_env: VariableName | None = Field(
        default=None,
        description="The environment variable with the token for `provider_registry_url`.",
    )
    private_networks: list[Network] = Field(
        default=[],
        description=(
            "Networks that found providers may lie in although they are not public, such as "
            "`10.0.0.0/8`. Local servers need none."
        ),
    )
    api_key_env: VariableName | None = Field(
        default=None,
        description=(
            "The environment variable with the key that found providers are asked with; keys of "
            "the configuration's own providers are never sent to them."
        ),
    )
    priority: Rank = Field(
        default=100,
        description=(
            "The `priority` of found providers, which come behind those of the configuration with "
            "a lower number."
        ),
    )
    max_providers: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=100, description="No more providers than these are taken from all searches."
    )
