"""The simulator's models, as each vendor lists its own."""

import hashlib
from typing import Any

from proxy.domain.errors import ModelNotFound
from proxy.simulator.fault_kind import Face
from proxy.simulator.faults import FAULTS, find_fault
from proxy.simulator.knobs import FAULT_PREFIX, MODELS, parse_model_name

_CREATED_AT = 1_763_596_800
_CREATED = "2025-11-20T00:00:00Z"
_DETAILS = {"format": "sim", "family": "sim", "families": ["sim"], "parameter_size": "0"}


def list_models(face: Face, format_name: str = "openai") -> dict[str, Any]:
    """Return the list of what can be played on that face."""
    names = [*MODELS, *[fault.model for fault in FAULTS.values() if face in fault.faces]]
    models = [_describe(name, format_name) for name in names]
    if format_name in ("cohere", "gemini", "ollama"):
        return {"models": models}
    if format_name == "anthropic":
        return {"data": models, "has_more": False, "first_id": names[0], "last_id": names[-1]}
    return {"object": "list", "data": models}


def find_model(name: str, face: Face, format_name: str = "openai") -> dict[str, Any]:
    """Return one model, whatever speed its name asks for; ModelNotFound if there is none."""
    base, _ = parse_model_name(name)
    fault = find_fault(base) if base.startswith(FAULT_PREFIX) else None
    if base not in MODELS and (fault is None or face not in fault.faces):
        raise ModelNotFound(name)
    return _describe(name, format_name)


def show_model(name: str, face: Face) -> dict[str, Any]:
    """Return one model as Ollama shows it alone; ModelNotFound if there is none."""
    find_model(name, face)
    capabilities = ["embedding"] if name == "sim-embed" else ["completion", "tools", "vision"]
    return {
        "details": _DETAILS,
        "model_info": {"general.architecture": "sim", "sim.context_length": 256_000},
        "capabilities": capabilities,
        "modified_at": _CREATED,
    }


def _describe(name: str, format_name: str) -> dict[str, Any]:
    if format_name == "anthropic":
        return {"type": "model", "id": name, "display_name": name, "created_at": _CREATED}
    if format_name == "gemini":
        methods = ["generateContent", "countTokens"]
        return {
            "name": f"models/{name}",
            "displayName": name,
            "version": "1",
            "inputTokenLimit": 256_000,
            "outputTokenLimit": 256_000,
            "supportedGenerationMethods": ["embedContent"] if name == "sim-embed" else methods,
        }
    if format_name == "ollama":
        return {
            "name": name,
            "model": name,
            "modified_at": _CREATED,
            "size": 1_000_000,
            "digest": hashlib.sha256(name.encode()).hexdigest(),
            "details": _DETAILS,
        }
    if format_name == "cohere":
        endpoints = ["embed"] if name == "sim-embed" else ["chat"]
        return {"name": name, "endpoints": endpoints, "context_length": 256_000}
    return {"id": name, "object": "model", "created": _CREATED_AT, "owned_by": "simulator"}
