"""
The providers that speak OpenAI's format, one row each.

A row is all that most of them need; where data is not enough, `quirk` names repairs of
`quirks.py`. What a row says is from the vendors' documentation as of November 2026;
docs/providers.md marks what could not be verified against a live key.
"""

from proxy.providers.kind import (
    ALL_PASSED,
    WITH_COUNTED_RESPONSES,
    WITH_RESPONSES,
    Kind,
    list_passes,
)

_CHAT = {"chat": "/chat/completions"}
_CHAT_EMBEDDINGS = {"chat": "/chat/completions", "embeddings": "/embeddings"}
_SAMPLING = frozenset(("top_k", "min_p", "repetition_penalty"))
_SEARCH = frozenset(
    (
        *("search_mode", "search_domain_filter", "search_recency_filter", "disable_search"),
        *("search_after_date_filter", "search_before_date_filter", "enable_search_classifier"),
        *("return_images", "return_related_questions", "language_preference", "stream_mode"),
    )
)
"""What Perplexity searches, and what it gives of it."""
_ROUTED = frozenset(
    ("provider", "plugins", "transforms", "route", "reasoning", "session_id", "top_a")
)
"""OpenRouter's own; its `models` is not among them: those names are tried by this proxy."""
_VLLM = frozenset(
    (
        *("stop_token_ids", "min_tokens", "ignore_eos", "truncate_prompt_tokens", "priority"),
        *("structured_outputs", "chat_template_kwargs", "include_reasoning", "cache_salt"),
        "thinking_token_budget",
    )
)
"""What vLLM has beside OpenAI's fields and the sampling that others have, too."""
_TO_MAX_TOKENS = {"max_completion_tokens": "max_tokens"}

KINDS: tuple[Kind, ...] = (
    Kind(
        type="openai",
        title="OpenAI",
        base_url="https://api.openai.com/v1",
        key_variables=("OPENAI_API_KEY",),
        operations=WITH_COUNTED_RESPONSES,
        # Its newer models refuse the other name.
        limit_field="max_completion_tokens",
        has_openai_models=True,
        tool_choices="sets",
        passes=list_passes(*(each for each in ALL_PASSED if each != "rerank")),
    ),
    Kind(
        type="grok",
        title="Grok (xAI)",
        base_url="https://api.x.ai/v1",
        key_variables=("GROK_API_KEY", "XAI_API_KEY"),
        operations=WITH_RESPONSES,
        health_states={400: "key_rejected"},
        quirk="grok",
        passes=list_passes("images/generations"),
    ),
    Kind(
        type="perplexity",
        title="Perplexity",
        base_url="https://api.perplexity.ai",
        key_variables=("PERPLEXITY_API_KEY", "PERPLEXITYAI_API_KEY"),
        appends_v1=False,
        operations=_CHAT,
        health_path="/v1/models",
        renames=_TO_MAX_TOKENS,
        drops=frozenset(("seed", "logit_bias", "user", "store")),
        usage_in_streams="always",
        quirk="perplexity",
        has_json_object=False,
        also_takes=_SEARCH | {"top_k"},
    ),
    Kind(
        type="blackbox",
        title="Blackbox AI",
        base_url="https://api.blackbox.ai",
        key_variables=("BLACKBOX_API_KEY",),
        appends_v1=False,
        operations=_CHAT,
        quirk="regular",
    ),
    Kind(
        type="openrouter",
        title="OpenRouter",
        base_url="https://openrouter.ai/api/v1",
        key_variables=("OPENROUTER_API_KEY",),
        health_path="/key",
        quirk="regular",
        also_takes=_SAMPLING | _ROUTED,
        thoughts_as="reasoning",
    ),
    Kind(
        type="groq",
        title="Groq",
        base_url="https://api.groq.com/openai/v1",
        key_variables=("GROQ_API_KEY",),
        operations=_CHAT_EMBEDDINGS,
        drops=frozenset(("logprobs", "top_logprobs", "logit_bias", "store", "metadata")),
        quirk="groq",
        also_takes=frozenset(("reasoning_format", "include_reasoning", "disable_tool_validation")),
        passes=list_passes(
            *("audio/speech", "audio/transcriptions", "audio/translations", "files", "batches")
        ),
        efforts={"minimal": "low", "xhigh": "high", "max": "high"},
    ),
    Kind(
        type="together",
        title="Together",
        base_url="https://api.together.xyz/v1",
        key_variables=("TOGETHER_API_KEY", "TOGETHERAI_API_KEY"),
        renames=_TO_MAX_TOKENS,
        quirk="regular",
        also_takes=_SAMPLING
        | {"context_length_exceeded_behavior", "chat_template_kwargs", "safety_model", "reasoning"},
        passes=list_passes(
            *("audio/speech", "audio/transcriptions", "audio/translations"),
            *("images/generations", "rerank"),
        ),
    ),
    Kind(
        type="mistral",
        title="Mistral",
        base_url="https://api.mistral.ai/v1",
        key_variables=("MISTRAL_API_KEY",),
        operations=_CHAT_EMBEDDINGS,
        renames={
            "max_completion_tokens": "max_tokens",
            "seed": "random_seed",
            "dimensions": "output_dimension",
        },
        drops=frozenset(("user", "logit_bias", "store", "modalities")),
        usage_in_streams="always",
        maps_developer_role=True,
        quirk="regular",
        also_takes=frozenset(("safe_prompt", "prompt_mode", "guardrails", "min_tokens")),
        # Its batches have a path and a shape of their own.
        passes=list_passes("audio/transcriptions", "moderations", "files"),
    ),
    Kind(
        type="deepseek",
        title="DeepSeek",
        base_url="https://api.deepseek.com",
        key_variables=("DEEPSEEK_API_KEY",),
        appends_v1=False,
        operations=_CHAT,
        renames=_TO_MAX_TOKENS,
        drops=frozenset(("seed", "logit_bias", "parallel_tool_calls", "store", "user")),
        maps_developer_role=True,
        quirk="regular",
        thoughts_as="reasoning_content",
        efforts={"minimal": "low", "medium": "high", "xhigh": "high"},
        thinking_off=b'{"type":"disabled"}',
        has_schemas=False,
    ),
    Kind(
        type="lm_studio",
        title="LM Studio",
        base_url="http://127.0.0.1:1234/v1",
        key_variables=("LM_STUDIO_API_KEY",),
        needs_key=False,
        is_local=True,
        health_states={503: "warming"},
        renames=_TO_MAX_TOKENS,
        maps_developer_role=True,
        quirk="tagged",
        has_json_object=False,
        tool_choices="words",
        also_takes=_SAMPLING | {"repeat_penalty"},
    ),
    Kind(
        type="llama_cpp",
        title="llama.cpp server",
        base_url="http://127.0.0.1:8080/v1",
        key_variables=("LLAMA_CPP_API_KEY",),
        needs_key=False,
        is_local=True,
        health_path="/health",
        health_at_root=True,
        health_states={503: "warming"},
        maps_developer_role=True,
        quirk="tagged",
        also_takes=_SAMPLING
        | {"grammar", "chat_template_kwargs", "reasoning_format", "cache_prompt", "repeat_penalty"},
    ),
    Kind(
        type="vllm",
        title="vLLM",
        # vLLM's own default port, 8000, is ours too: the operator must say where it is.
        base_url=None,
        key_variables=("VLLM_API_KEY",),
        needs_key=False,
        is_local=True,
        quirk="tagged",
        also_takes=_SAMPLING | _VLLM,
        passes=list_passes("audio/transcriptions", "audio/translations", "rerank"),
    ),
    Kind(
        type="openai_compatible",
        title="Any other server that speaks OpenAI's format",
        base_url=None,
        needs_key=False,
        quirk="tagged",
        also_takes=_SAMPLING,
        passes=list_passes(*ALL_PASSED),
    ),
)
