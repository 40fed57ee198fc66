"""Heads of requests as clients send them, recorded from their own releases, key and port apart."""

_CHAT = "POST /v1/chat/completions HTTP/1.1"

RECORDED: dict[str, str] = {
    "openai-python 3.52.0": f"""{_CHAT}
Host: 127.0.0.1:8000
Accept-Encoding: gzip, deflate
Connection: keep-alive
authorization: Bearer sk-test
accept: application/json
content-type: application/json
user-agent: OpenAI/Python 3.52.0
x-stainless-lang: python
x-stainless-package-version: 3.52.0
x-stainless-os: Linux
x-stainless-arch: x64
x-stainless-runtime: CPython
x-stainless-runtime-version: 3.11.7
x-stainless-async: false
x-stainless-retry-count: 0
x-stainless-read-timeout: 600
Content-Length: 62""",
    "openai-python 3.52.0, async": f"""{_CHAT}
Host: 127.0.0.1:8000
Accept-Encoding: gzip, deflate
Connection: keep-alive
authorization: Bearer sk-test
accept: application/json
content-type: application/json
user-agent: AsyncOpenAI/Python 3.52.0
x-stainless-lang: python
x-stainless-package-version: 3.52.0
x-stainless-os: Linux
x-stainless-arch: x64
x-stainless-runtime: CPython
x-stainless-runtime-version: 3.11.7
x-stainless-async: async:asyncio
x-stainless-retry-count: 0
x-stainless-read-timeout: 600
Content-Length: 76""",
    "anthropic-python 2.14.0": """POST /v1/messages HTTP/1.1
Host: 127.0.0.1:8000
Accept-Encoding: gzip, deflate
Connection: keep-alive
x-stainless-timeout: 600
x-stainless-retry-count: 0
x-stainless-read-timeout: 600
Accept: application/json
Content-Type: application/json
User-Agent: Anthropic/Python 2.14.0
X-Stainless-Lang: python
X-Stainless-Package-Version: 2.14.0
X-Stainless-OS: Linux
X-Stainless-Arch: x64
X-Stainless-Runtime: CPython
X-Stainless-Runtime-Version: 3.11.7
Authorization: Bearer sk-test
X-Stainless-Async: false
anthropic-version: 2026-10-21
Content-Length: 77""",
    "httpx 0.28.1": f"""{_CHAT}
Host: 127.0.0.1:8000
Accept: */*
Accept-Encoding: gzip, deflate
Connection: keep-alive
User-Agent: python-httpx/0.28.1
Authorization: Bearer sk-test
Content-Length: 13
Content-Type: application/json""",
    "aiohttp 3.14.5": f"""{_CHAT}
Host: 127.0.0.1:8000
Authorization: Bearer sk-test
Accept: */*
Accept-Encoding: gzip, deflate
User-Agent: Python/3.11 aiohttp/3.14.5
Content-Length: 14
Content-Type: application/json""",
    "curl 7.88.1": f"""{_CHAT}
Host: 127.0.0.1:8000
User-Agent: curl/7.88.1
Accept: */*
Authorization: Bearer sk-test
Content-Type: application/json
Content-Length: 13""",
    "fetch of node 20.20.2": f"""{_CHAT}
host: 127.0.0.1:8000
connection: keep-alive
Authorization: Bearer sk-test
Content-Type: application/json
accept: */*
accept-language: *
sec-fetch-mode: cors
user-agent: node
accept-encoding: gzip, deflate
content-length: 13""",
}
"""What each sends with one whole body of JSON to the address of a server that it was given."""

JAVA = f"""{_CHAT}
Connection: Upgrade, HTTP2-Settings
Content-Length: 13
Host: 127.0.0.1:8000
HTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA
Upgrade: h2c
User-Agent: Java-http-client/17.0.15
Authorization: Bearer sk-test
Content-Type: application/json"""
"""What java.net.http.HttpClient sends without `version(HTTP_1_1)`."""


def build_recorded(text: str) -> bytes:
    """Return the bytes of a recorded head."""
    return text.replace("\n", "\r\n").encode() + b"\r\n\r\n"
