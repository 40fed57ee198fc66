"""The `litellm_params` of one deployment -> the entry of `providers` that it is asked at."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from proxy.config.litellm.notes import Notes
from proxy.config.litellm.values import (
    find_reference,
    is_plain,
    is_sendable,
    read_names,
    read_number,
    read_text,
)
from proxy.config.litellm.vendors import ANY, Vendor
from proxy.config.merge import PREFIX
from proxy.config.provider_schema import ProviderEntry
from proxy.config.reference import may_hold_key
from proxy.providers.kind import Kind
from proxy.providers.registry import find_kind
from proxy.upstream.guard import find_url_problem, is_private_name

_NO_ADDRESS = {"base_url": "https://set-the-address.example/v1", "enabled": False}
_SWITCHED_OFF = "its provider is switched off until base_url is set"
_MOST_RETRIES = 20


class EntryReader:
    """Makes entries without a name and without models."""

    def __init__(self, variables: Mapping[str, Any], retries: int | None, notes: Notes) -> None:
        """
        Args:
            variables: LiteLLM's own `environment_variables`.
            retries: `num_retries` of the whole configuration.
            notes: gets what has no counterpart.
        """
        self._variables = variables
        self._retries = retries
        self._notes = notes

    def read(
        self, place: str, vendor: Vendor, kind: Kind, params: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the entry of one deployment; two that are equal are one provider."""
        given = params.get("api_base") or params.get("base_url")
        address = read_text(given, self._variables)
        if kind.type == "openai" and given is not None and not _is_openai(address):
            # So LiteLLM is told of any server that speaks OpenAI's format.
            kind = find_kind(ANY) or kind
        fields: dict[str, Any] = {"type": kind.type}
        fields |= self._read_address(place, kind, given, address)
        fields |= self._read_key(place, params.get("api_key"))
        version = read_text(params.get("api_version"), self._variables)
        if version is not None and kind.has_versions:
            fields["api_version"] = version
        elif params.get("api_version") is not None:
            self._notes.add(f"{place}.api_version", "was left out: set it by hand")
        fields |= self._read_times(place, params)
        headers = self._read_headers(place, params)
        return {**fields, "headers": headers} if headers else fields

    def check(self, entry: dict[str, Any]) -> dict[str, Any] | None:
        """Return a whole entry without what the schema refuses; None: too little is left of it."""
        place = f"the provider '{entry['name']}'"
        faulty = {name for name, value in entry.items() if not is_plain(value)}
        try:
            ProviderEntry.model_validate(entry)
        except ValidationError as error:
            faulty |= {str(detail["loc"][0]) for detail in error.errors(include_input=False)}
        for name in sorted(faulty):
            self._notes.add(f"{place}, {name}", "its value is not valid here: left out")
        if faulty & {"name", "type", "models"}:
            return None
        entry = {name: value for name, value in entry.items() if name not in faulty}
        if "base_url" in entry and find_url_problem(entry["base_url"]) is not None:
            self._notes.add(f"{place}, base_url", "no provider is ever reached there: left out")
            del entry["base_url"]
        kind = find_kind(entry["type"])
        if "base_url" not in entry and kind is not None and kind.base_url is None:
            self._notes.add(place, _SWITCHED_OFF)
            entry |= _NO_ADDRESS
        return entry

    def _read_address(
        self, place: str, kind: Kind, given: object, address: str | None
    ) -> dict[str, Any]:
        if given is None and kind.base_url is not None:
            return {}
        if address is None:
            variable = find_reference(given)
            shown = f": write what {variable} holds into it" if variable else ""
            self._notes.add(place, f"{_SWITCHED_OFF}{shown}")
            return _NO_ADDRESS
        # Of some vendors LiteLLM is given the whole address of what is asked.
        ends = [path for path in kind.operations.values() if address.endswith(path)]
        address = address.removesuffix(max(ends, key=len, default=""))
        if address.rstrip("/") == kind.base_url:
            return {}
        if find_url_problem(address) is None and is_private_name(address):
            what = "this name looks like one of a private network: name it in private_networks"
            self._notes.add(f"{place}.api_base", what)
        return {"base_url": address}

    def _read_key(self, place: str, key: object) -> dict[str, Any]:
        variable = find_reference(key)
        if variable is not None:
            if may_hold_key(variable):
                return {"api_key_env": variable}
            name = PREFIX + variable
            self._notes.add(f"{place}.api_key", f"set {name} to what {variable} holds")
            return {"api_key_env": name}
        if not isinstance(key, str) or not key.strip():
            return {}
        if not is_sendable(key.strip()):
            self._notes.add(f"{place}.api_key", "cannot be sent in a header, and was left out")
            return {}
        self._notes.add(f"{place}.api_key", "stands in the file, as it did: better in .env")
        return {"api_key": key.strip()}

    def _read_times(self, place: str, params: Mapping[str, Any]) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        numbers = {}
        for name in ("timeout", "stream_timeout", "max_retries", "num_retries"):
            numbers[name] = read_number(params.get(name))
            if params.get(name) is not None and numbers[name] is None:
                self._notes.add(f"{place}.{name}", "is no number, and was left out")
        whole = numbers["timeout"]
        streamed = numbers["stream_timeout"] or whole
        if streamed:
            fields["timeout"] = float(streamed)
        if whole:
            fields["clocks"] = {"answer_s": float(whole)}
        own = [numbers[name] for name in ("max_retries", "num_retries")]
        retries = next((number for number in own if number is not None), self._retries)
        if retries is not None:
            fields["max_retries"] = min(int(retries), _MOST_RETRIES)
        return fields

    def _read_headers(self, place: str, params: Mapping[str, Any]) -> dict[str, str]:
        headers = {**read_names(params.get("headers")), **read_names(params.get("extra_headers"))}
        if params.get("organization") is not None:
            headers["OpenAI-Organization"] = params["organization"]
        kept = {}
        for name, value in headers.items():
            text = read_text(value, self._variables)
            if text is None:
                what = "one of them is read from no variable here, and was left out"
                self._notes.add(f"{place}.headers", what)
            else:
                kept[name] = text
        return kept


def _is_openai(address: str | None) -> bool:
    try:
        host = urlsplit(address or "").hostname or ""
    except ValueError:
        return False
    return host == "api.openai.com" or host.endswith(".api.openai.com")
