"""
The kinds of value that settings are made of, each with its own check.

Checks that need more than the one value (another setting, the environment) live in
`validate.py` and in the `build_*` modules. No message repeats the value it is about.
"""

import ipaddress
import re
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, NoReturn
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from proxy.config.problem import suggest
from proxy.providers.registry import ALIASES, known_types, load_type
from proxy.providers.third_party import PackageFault
from proxy.stores.redis_address import parse_address

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}\Z")
_HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]{0,8000}[\x21-\x7e])?\Z")
_HOST = re.compile(r"[A-Za-z0-9._:-]{1,253}\Z")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[A-Za-z0-9._-]+(:[0-9]{1,5})?\Z|null\Z")
_API_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")

_MANAGED_HEADERS = frozenset(
    (
        "accept-encoding", "api-key", "authorization", "connection", "content-encoding",
        "content-length", "content-type", "cookie", "expect", "host", "keep-alive",
        "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade", "x-api-key", "x-goog-api-key",
    )
)  # fmt: skip

_KEY_HEADERS = frozenset(("api-key", "x-api-key", "x-goog-api-key"))


MICROS_DIGITS = 6
"""Behind the point of a price: the millionths of a dollar that prices are kept in."""


def refuse(what: str, mend: str) -> NoReturn:
    """Refuse a value from within a pydantic validator."""
    # Braces are fields of the template in pydantic's messages, so the text travels beside it.
    raise PydanticCustomError("refused", "{what}", {"what": what, "mend": mend})


def _check_name(value: str) -> str:
    if not _NAME.match(value):
        refuse(
            "this is not a name that can be used here",
            "use 1 to 64 letters, digits, '_', '-' and '.', a letter or digit first",
        )
    return value


def _check_model_id(value: str) -> str:
    if not value or len(value) > 200 or value != value.strip() or not value.isprintable():
        refuse(
            "this is not a model name",
            "use 1 to 200 printable characters without a blank at either end",
        )
    return value


_MAKERS = MappingProxyType(
    {
        "claude": "anthropic",
        "google": "gemini",
        "google_ai": "gemini",
        "google_ai_studio": "gemini",
        "googleai": "gemini",
        "microsoft": "azure",
        "x.ai": "grok",
        "x_ai": "grok",
    }
)
"""What other gateways call a type, and what no likeness of letters would lead to."""


def _check_type(value: str) -> str:
    if not _could_be_type(value):
        close = _MAKERS.get(value.lower()) or suggest(value, (*known_types(), *ALIASES))
        types = f"types are {', '.join(known_types())}, and those of installed packages"
        refuse(
            "this provider type is not known",
            f"did you mean '{close}'? The {types}" if close else f"the {types}",
        )
    return value


def _could_be_type(value: str) -> bool:
    """Return whether there is such a type, here or in another package, which is then loaded."""
    try:
        return _NAME.match(value) is not None and load_type(value) is not None
    except PackageFault as fault:
        refuse(fault.what, fault.mend)


def _check_base_url(value: str) -> str:
    mend = "write it like 'https://api.example.com/v1'"
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        refuse("this is not a URL", mend)
    if not value.isascii() or not value.isprintable() or " " in value or "\\" in value:
        refuse("this is not a URL", mend)
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        refuse("this is not an http or https URL with a host", mend)
    if "@" in parts.netloc:
        refuse("this URL holds a user name or password", "put the key into api_key_env instead")
    if "?" in value or "#" in value:
        refuse("this URL holds a query or a fragment", "end it after the path")
    return value


def _check_probe_path(value: str) -> str:
    is_plain = value.isascii() and value.isprintable() and not set(value) & set(' "#\\')
    if not value.startswith("/") or value.startswith("//") or not is_plain:
        refuse("this is not a path", "write it from '/', as in '/health'")
    return value


def _check_api_version(value: str) -> str:
    if not _API_VERSION.match(value):
        refuse("this is not a version of an API", "write it like '2024-10-21', in quotes")
    return value


def _check_http_url(value: str) -> str:
    path, _, query = value.partition("?")
    _check_base_url(path)
    if not query.isascii() or not query.isprintable() or set(query) & set(' "#\\'):
        refuse("this is not a URL", "write it like 'https://registry.example.com/providers.json'")
    return value


def _check_ca_file(value: str) -> str:
    if not value:
        refuse("this is empty", "write a path, or remove the key")
    if not value.startswith("/") or "\0" in value:
        # A relative one would mean another file, wherever the server is started from.
        refuse("this is not an absolute path", "write it from '/', as in '/etc/ssl/company.pem'")
    return value


def _check_variable(value: str) -> str:
    if not _VARIABLE.match(value):
        refuse(
            "this is not the name of an environment variable",
            "write the name of a variable, such as PROXY_API_OPENAI_API_KEY, never the key itself",
        )
    return value


def _check_header_name(value: str) -> str:
    if not _HEADER_NAME.match(value):
        refuse("this is not a header name", "use letters, digits and '-'")
    return value


def _check_key_header(value: str) -> str:
    _check_header_name(value)
    if value.lower() in _MANAGED_HEADERS - _KEY_HEADERS:
        refuse(
            "this header cannot hold a key of its own",
            "choose another; 'Authorization: Bearer', 'X-API-Key' and 'api-key' are always read",
        )
    return value


def _check_sent_header(value: str) -> str:
    _check_header_name(value)
    if value.lower() in _MANAGED_HEADERS:
        refuse(
            "this header is set by the proxy itself",
            "remove it; a provider's key belongs into api_key or api_key_env",
        )
    return value


def _check_header_value(value: str) -> str:
    if not _HEADER_VALUE.match(value):
        refuse(
            "this is not a header value",
            "use printable ASCII characters on one line, without a blank at either end",
        )
    return value


def _check_origin(value: str) -> str:
    if value != "*" and not _ORIGIN.match(value):
        refuse("this is not an origin", "write '*' or scheme, host and port: 'https://app.example'")
    return value


def _check_host(value: str) -> str:
    if not _HOST.match(value):
        refuse("this is not a host", "write an address such as '127.0.0.1', or a host name")
    return value


def _check_listen(value: str) -> str:
    host, colon, port = value.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    is_port = port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535
    is_host = bool(_HOST.match(bare)) and (":" in bare) == (bare != host)
    if not (colon and is_port and is_host):
        refuse("this is not an address to listen on", "write 'host:port', as in '127.0.0.1:8000'")
    return value


def _check_redis_url(value: str) -> str:
    if not value.isascii() or not value.isprintable() or " " in value or "#" in value:
        refuse("this is not a URL", "write '%23' for a '#' in a password, and so on")
    try:
        parse_address(value)
    except ValueError as error:
        what, _, mend = str(error).partition(": ")
        refuse(f"this URL {what}", mend)
    return value


def _check_price(value: float) -> float:
    if Decimal(str(value)).scaleb(MICROS_DIGITS) % 1:
        refuse("this price is finer than a millionth of a dollar", "round it to six digits")
    return value


def _check_network(value: str) -> str:
    try:
        network = ipaddress.ip_network(value)
    except ValueError:
        refuse(
            "this is not a network",
            "write an address, or a network with zeros behind its prefix: '::1', '10.0.0.0/8'",
        )
    return str(network)


def check_client_key(value: str) -> str:
    """Return a key that clients may send in a header; any other is refused."""
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        refuse(
            "this key cannot be sent in a header",
            "use printable ASCII characters without blanks, such as 'openssl rand -hex 32' prints",
        )
    return value


def _raise_level(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _read_off(value: object) -> object:
    """Take `off` for the word that it is: YAML reads it as false where nobody quotes it."""
    return "off" if value is False else value


Name = Annotated[str, AfterValidator(_check_name)]
ModelId = Annotated[str, AfterValidator(_check_model_id)]
TypeName = Annotated[str, AfterValidator(_check_type)]
BaseUrl = Annotated[str, AfterValidator(_check_base_url)]
ProbePath = Annotated[str, AfterValidator(_check_probe_path)]
ApiVersion = Annotated[str, AfterValidator(_check_api_version)]
HttpUrl = Annotated[str, AfterValidator(_check_http_url)]
"""Like `BaseUrl`, but may have a query."""
CaFile = Annotated[str, AfterValidator(_check_ca_file)]
VariableName = Annotated[str, AfterValidator(_check_variable)]
KeyHeaderName = Annotated[str, AfterValidator(_check_key_header)]
SentHeaderName = Annotated[str, AfterValidator(_check_sent_header)]
HeaderValue = Annotated[str, AfterValidator(_check_header_value)]
Origin = Annotated[str, AfterValidator(_check_origin)]
Host = Annotated[str, AfterValidator(_check_host)]
Listen = Annotated[str, AfterValidator(_check_listen)]
Network = Annotated[str, AfterValidator(_check_network)]
RedisUrl = Annotated[str, AfterValidator(_check_redis_url)]
ClientKey = Annotated[str, AfterValidator(check_client_key)]
UpperCase = BeforeValidator(_raise_level)
UnquotedOff = BeforeValidator(_read_off)

Seconds = Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)]
"""A span of time: more than nothing, at most a day."""
WaitSeconds = Annotated[float, Field(ge=0, le=86400, allow_inf_nan=False)]
"""A span of time that may be nothing."""
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Bytes = Annotated[int, Field(ge=1024, le=1024**3)]
Tokens = Annotated[int, Field(ge=1, le=100_000_000)]
Price = Annotated[
    float, Field(ge=0, le=1_000_000, allow_inf_nan=False), AfterValidator(_check_price)
]
"""US dollars with at most six digits behind the point, so that sums of them are exact."""
Rank = Annotated[int, Field(ge=0, le=1000)]
Weight = Annotated[int, Field(ge=1, le=1000)]
