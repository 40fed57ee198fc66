"""Which of our provider types LiteLLM's names for vendors stand for."""

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

ANY = "openai_compatible"
_VENDORS: Mapping[str, str] = MappingProxyType(
    {
        "anthropic": "anthropic",
        "anthropic_text": "anthropic",
        "azure": "azure",
        "azure_ai": ANY,
        "azure_text": "azure",
        "cohere": "cohere",
        "cohere_chat": "cohere",
        "custom_openai": ANY,
        "deepseek": "deepseek",
        "gemini": "gemini",
        "groq": "groq",
        "hosted_vllm": "vllm",
        "litellm_proxy": ANY,
        "llamafile": ANY,
        "lm_studio": "lm_studio",
        "mistral": "mistral",
        "ollama": "ollama",
        "ollama_chat": "ollama",
        "openai": "openai",
        "openai_like": ANY,
        "openrouter": "openrouter",
        "perplexity": "perplexity",
        "text-completion-openai": "openai",
        "together_ai": "together",
        "xai": "grok",
    }
)
_OPENAIS = frozenset(
    (
        *("aiml", "anyscale", "baseten", "cerebras", "chutes", "cometapi", "dashscope"),
        *("databricks", "deepinfra", "docker_model_runner", "featherless_ai", "fireworks_ai"),
        *("friendliai", "galadriel", "github", "helicone", "huggingface", "hyperbolic"),
        *("infinity", "lambda_ai", "meta_llama", "modelscope", "moonshot", "nano-gpt", "nebius"),
        *("novita", "nscale", "nvidia_nim", "ovhcloud", "poe", "sambanova", "tencent", "v0"),
        *("vercel_ai_gateway", "volcengine", "wandb", "xinference", "zai"),
    )
)
"""Vendors without a type of ours that speak OpenAI's format: with their address they are served."""
_OTHERS = frozenset(
    (
        *("bedrock", "bedrock_converse", "cloudflare", "gigachat", "nlp_cloud", "oci", "petals"),
        *("predibase", "replicate", "sagemaker", "sagemaker_chat", "sagemaker_nova", "snowflake"),
        *("triton", "vertex_ai", "vertex_ai_beta", "watsonx", "watsonx_text"),
    )
)
"""Vendors with a format of their own, which an address does not change."""
_BY_NAME = (
    ("claude", "anthropic"),
    ("command", "cohere"),
    *((name, "openai") for name in ("gpt", "o1", "o3", "o4", "chatgpt", "text-", "omni-")),
    *((name, "openai") for name in ("dall-e", "tts-", "whisper", "codex", "davinci", "babbage")),
)
"""How names of models begin whose vendor LiteLLM finds by itself."""


class Vendor(Struct, frozen=True):
    """The type that a model is asked of, and the model's name there."""

    type: str
    model: str


def find_vendor(model: str, given: str | None, has_address: bool) -> Vendor | None:
    """
    Return whom a model of LiteLLM's is asked of, None where no type of ours is for that.

    Args:
        model: `litellm_params.model`, such as `azure/my-deployment` or `gpt-4o`.
        given: `custom_llm_provider`, which goes before the name's own beginning.
        has_address: an `api_base` is given: whatever is there is taken to speak OpenAI's format
            if nothing else is known of it.
    """
    prefix, slash, rest = model.partition("/")
    vendor = given or (prefix if slash else "")
    if vendor in _OTHERS:
        return None
    if given:
        name, type_name = (rest if slash and prefix == given else model), _find_type(given)
    elif slash and _find_type(prefix) is not None:
        name, type_name = rest, _find_type(prefix)
    else:
        name = model
        type_name = next((kind for start, kind in _BY_NAME if model.startswith(start)), None)
        if slash:
            type_name = None
    if type_name is None and has_address:
        type_name = ANY
    if type_name is None or not name:
        return None
    # How LiteLLM is told to ask chats as responses: the operation is the client's choice here.
    return Vendor(type_name, name.removeprefix("responses/") or name)


def _find_type(vendor: str) -> str | None:
    return ANY if vendor in _OPENAIS else _VENDORS.get(vendor)
