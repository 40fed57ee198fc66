"""
Abuses A1, A2, A4 to A6, A8, A18, A41, A53 and A54: who gets in, by which path, and what is told.

Not built yet, and so not tested here: changing the configuration over HTTP and connection tests
(the rest of A8), organizations and pages (A9 to A11, A19 to A28).
"""

import ast
import asyncio
import random
import statistics
import time
from pathlib import Path

import msgspec
import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from proxy.config.load import load_config
from proxy.config.problem import ConfigError
from proxy.domain.identity import Caller
from proxy.policy.credentials import find_caller
from tests.canaries import ADMIN_KEY, CLIENT_KEY
from tests.fakes.proxy_server import HASHER, KEY, build_provider, build_snapshot, serving
from tests.faults.asking import asking
from tests.faults.oracle import Judge, judging
from tests.faults.test_client_rows_body import GOOD, check_answered
from tests.promises.tree import ROOT, python_files, shown

ADMIN = "/admin/keys"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")


def ask_with(*fields: str, target: str = "/v1/chat/completions") -> bytes:
    """Return a good chat request with these header lines in place of a key."""
    lines = ("Host: a", "Connection: close", "Content-Type: application/json", *fields)
    head = [f"POST {target} HTTP/1.1", *lines, f"Content-Length: {len(GOOD)}", "", ""]
    return "\r\n".join(head).encode("latin-1") + GOOD


def get(target: str, *fields: str) -> bytes:
    """Return a GET request for a target as it stands."""
    return "\r\n".join(
        [f"GET {target} HTTP/1.1", "Connection: close", *(fields or ("Host: a",)), "", ""]
    ).encode("latin-1")


KEYED = ("Host: a", f"Authorization: Bearer {KEY}")


@pytest.mark.parametrize(
    "fields",
    [
        (),
        ("Authorization:",),
        ("Authorization: Bearer",),
        ("Authorization: Bearer  ",),
        (f"Authorization: {KEY}",),
        (f"Authorization: Basic {KEY}",),
        (f"Authorization: Bearer{KEY}",),
        (f"Authorization: Bearer {KEY[:-1]}",),
        (f"Authorization: Bearer {KEY}x",),
        (f"Authorization: Bearer {KEY} {KEY}",),
        (f"Authorization: Bearer {KEY.upper()}",),
        ("Authorization: Bearer \xff\xfe\x80",),
        ("Authorization: Bearer " + "k" * 8000,),
        ("X-API-Key:",),
        ("X-API-Key: wrong",),
        (f"Cookie: api_key={KEY}; Authorization=Bearer {KEY}",),
        (f"X-Authorization: Bearer {KEY}",),
        (f"Proxy-Authorization: Bearer {KEY}",),
    ],
)
async def test_a1_no_good_key(fields: tuple[str, ...]) -> None:
    """A1: no key, half of one, one that is nobody's, or one in a place for none: the same 401."""
    async with asking() as asked:
        outcome = await asked.post_raw(ask_with(*fields))
        asked.check_refused(outcome, 401, "invalid_api_key")
        nobody = await asked.post_raw(ask_with())
        assert outcome.reply.body == nobody.reply.body


@pytest.mark.parametrize("place", ["api_key", "key", "access_token", "Authorization"])
async def test_a1_a_key_in_the_address(place: str) -> None:
    """A1: a key in the query or in the body opens nothing; queries end up in others' logs."""
    async with asking() as asked:
        target = f"/v1/chat/completions?{place}={KEY}"
        asked.check_refused(await asked.post_raw(ask_with(target=target)), 401, "invalid_api_key")


async def test_a1_a_key_in_the_body() -> None:
    """A1: a key in the body is not looked at: the body is not even read."""
    body = b'{"api_key":"' + KEY.encode() + b'"}'
    request = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    request += b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with asking() as asked:
        asked.check_refused(await asked.post_raw(request + body), 401, "invalid_api_key")


@pytest.mark.parametrize(
    "fields",
    [
        (f"Authorization: bearer {KEY}",),
        (f"AUTHORIZATION: BEARER   {KEY}  ",),
        (f"X-API-Key: {KEY}",),
        (f"api-key: {KEY}",),
        (f"Authorization: Bearer {KEY}", f"Authorization: Bearer {KEY}"),
        (f"Authorization: Bearer {KEY}", f"X-API-Key: {KEY}"),
    ],
)
async def test_a1_every_good_way(fields: tuple[str, ...]) -> None:
    """A1: the scheme in any case, the other headers, and one key twice are fine."""
    async with asking() as asked:
        check_answered(await asked.post_raw(ask_with(*fields)))


@pytest.mark.parametrize(
    "fields",
    [
        (f"Authorization: Bearer {KEY}", "X-API-Key: other"),
        ("Authorization: Bearer other", f"X-API-Key: {KEY}"),
        (f"Authorization: Bearer {KEY}", "Authorization: Bearer other"),
        (f"X-API-Key: {KEY}", "X-API-Key: other"),
        (f"X-API-Key: {KEY}", "api-key: other"),
    ],
)
async def test_a1_two_different_keys(fields: tuple[str, ...]) -> None:
    """A1: who presents two different keys is told so, whichever of them is good."""
    async with asking() as asked:
        outcome = await asked.post_raw(ask_with(*fields))
        asked.check_refused(outcome, 400, "conflicting_credentials")


def test_a2_a_guess_that_is_nearly_right_takes_no_longer() -> None:
    """A2: keys that share their beginning with a good one are looked up in the same time."""
    snapshot = build_snapshot(build_provider("http://a.test"))
    chance = random.Random(2)
    near = CLIENT_KEY[:-6]
    far = "".join(chance.choices("abcdef", k=len(near)))
    guesses = [
        (prefix, f"{prefix}{chance.getrandbits(24):06x}")
        for _ in range(10_000)
        for prefix in (near, far)
    ]
    spent_s: dict[str, list[float]] = {near: [], far: []}
    for prefix, guess in guesses:
        headers = CIMultiDictProxy(CIMultiDict(Authorization=f"Bearer {guess}"))
        before_s = time.perf_counter()
        caller = find_caller(headers, snapshot, HASHER)
        spent_s[prefix].append(time.perf_counter() - before_s)
        assert caller is None
    medians_s = [statistics.median(times) for times in spent_s.values()]
    assert abs(medians_s[0] - medians_s[1]) <= 50e-6


@pytest.mark.parametrize(
    "fields",
    [
        ("Host: a", "X-Original-URL: /health"),
        ("Host: a", "X-Rewrite-URL: /health"),
        ("Host: a", "X-Forwarded-Prefix: /health", "X-Forwarded-Host: localhost"),
        ("Host: localhost", "X-Forwarded-For: 127.0.0.1", "X-Real-IP: 127.0.0.1"),
        ("Host: a", "X-HTTP-Method-Override: OPTIONS"),
    ],
)
async def test_a4_no_header_moves_a_request_to_another_route(fields: tuple[str, ...]) -> None:
    """A4: what is asked for is the path of the request line, and that is what is authorised."""
    async with asking() as asked:
        asked.check_refused(
            await asked.post_raw(get("/v1/models", *fields)), 401, "invalid_api_key"
        )


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("http://b/v1/models", "a"),
        ("http://a@b/v1/models", "a"),
        ("http://b/health", "a"),
        ("http:///health", "a"),
        ("https://b:443/v1/models", "b"),
        ("ftp://a/v1/models", "a"),
        ("/health", "a, b"),
        ("/health", "a b"),
        ("/health", "a/health"),
        ("/health", "a@b"),
    ],
)
async def test_a4_two_hosts_in_one_request(target: str, host: str) -> None:
    """A4: a target that names another host than Host does, or a Host that is none, is refused."""
    async with asking() as asked:
        outcome = await asked.post_raw(get(target, f"Host: {host}", *KEYED[1:]))
        assert outcome.verdict == ("refused", 400, "invalid_http")


async def test_a4_an_absolute_target_is_authorised_by_its_path() -> None:
    """A4: `GET http://host/path` is that path of this host: open where it is open, else not."""
    async with asking() as asked:
        outcome = await asked.post_raw(get("http://a/v1/models", "Host: a"))
        asked.check_refused(outcome, 401, "invalid_api_key")
        outcome = await asked.post_raw(get("http://a/health", "Host: a"), is_recorded=False)
        check_answered(outcome)


TRICKS = [
    "//v1/models",
    "/v1//models",
    "///health",
    "//a/health",
    "/v1/..;/admin/config",
    "/v1/../admin/config",
    "/health/../v1/models",
    "/health/..%2fv1/models",
    "/v1/%2e%2e/admin/config",
    "/v1/%2e/models",
    "/%76%31/models",
    "/v1%2fmodels",
    "/v1%5cmodels",
    "/v1\\models",
    "/V1/models",
    "/v1/Models",
    "/v1/models.",
    "/v1/models/",
    "/v1/models;x=1",
    "/v1/models%00",
    "/v1/models%20",
    "/v1/models%23",
    "/v1/./models",
    "/v1/models/..",
    "/v1/models/%2e%2e%2fchat",
    "/v1/models/..%2f..%2fadmin",
    "/v1/models//m",
    "/.git/config",
    "/.env",
    "/config.yaml",
    "/static/../config.yaml",
    "/debug",
    "/docs",
    "/openapi.json",
]


@pytest.mark.parametrize("target", TRICKS)
@pytest.mark.parametrize("fields", [("Host: a",), KEYED], ids=["stranger", "user"])
async def test_a5_tricks_with_paths(target: str, fields: tuple[str, ...]) -> None:
    """A5: a path is compared as it was sent; what only decodes to a known one is not found."""
    async with asking() as asked:
        outcome = await asked.post_raw(get(target, *fields))
        asked.check_refused(outcome, 404, "not_found")


async def test_a5_slashes_may_be_encoded_in_the_name_of_a_model() -> None:
    """A5, amended: `%2F` in the last part of /v1/models/{id} is a slash of the name."""
    async with asking() as asked:
        check_answered(await asked.post_raw(get("/v1/models/up%2Fm", *KEYED)))


async def test_a6_without_any_key_everything_is_closed() -> None:
    """A6: a server that knows no key lets nobody in; forgetting keys opens nothing."""
    snapshot = msgspec.structs.replace(
        build_snapshot(build_provider("http://127.0.0.1:1")), callers={}
    )
    async with judging(serving(snapshot)) as judge:
        for request in (ask_with(*KEYED[1:]), get("/v1/models", *KEYED), get("/metrics", *KEYED)):
            outcome = await judge.ask_raw(request)
            assert outcome.verdict == ("refused", 401, "invalid_api_key")


async def ask_admin(judge: Judge, method: str, key: str | None) -> tuple[int, bytes]:
    """Return (status, answer) of what /admin says; to HEAD it is no body that could be judged."""
    reader, writer = await asyncio.open_connection("127.0.0.1", judge.server.port)
    lines = [f"{method} {ADMIN} HTTP/1.1", "Host: a", "Connection: close"]
    lines += [f"Authorization: Bearer {key}"] * (key is not None)
    lines += ["Content-Length: 0"] * (method not in ("GET", "HEAD"))
    writer.write("\r\n".join([*lines, "", ""]).encode())
    received = await reader.read()
    writer.close()
    judge.allow_unseen()
    return int(received[9:12]), received


@pytest.mark.parametrize("method", METHODS)
async def test_a6_a8_no_admin_key_is_no_administration(method: str) -> None:
    """A6, A8: with no admin key configured, nobody administrates, and a user is told how to."""
    async with asking() as asked:
        assert (await ask_admin(asked.judge, method, None))[0] == 401
        assert (await ask_admin(asked.judge, method, ADMIN_KEY))[0] == 401
        status, received = await ask_admin(asked.judge, method, KEY)
        assert status == 403
        assert method == "HEAD" or b"admin_keys" in received


@pytest.mark.parametrize("method", METHODS)
async def test_a6_a8_administration_is_for_admins(method: str) -> None:
    """A6, A8: a user's key is refused by every method, an admin's is told that nothing is there."""
    snapshot = build_snapshot(build_provider("http://127.0.0.1:1"))
    admins = {HASHER.digest(ADMIN_KEY): Caller(HASHER.key_id(ADMIN_KEY), role="admin")}
    snapshot = msgspec.structs.replace(snapshot, callers={**snapshot.callers, **admins})
    async with judging(serving(snapshot)) as judge:
        for key, status in ((None, 401), (KEY, 403), (ADMIN_KEY, 404)):
            assert (await ask_admin(judge, method, key))[0] == status


FORBIDDEN_IMPORTS = {"subprocess", "pickle", "marshal", "shelve", "jinja2", "mako", "code", "pty"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_ATTRIBUTES = {"os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "os.execv"}


def test_a8_nothing_of_a_request_can_be_run() -> None:
    """A8: no part of the server starts programs, evaluates code, fills templates or unpickles."""
    found = []
    # The supervisor, which no request reaches, starts its own workers and nothing else.
    starters = {ROOT / "proxy/supervisor/spawn.py", ROOT / "proxy/supervisor/worker_process.py"}
    for path in set(python_files("proxy")) - starters:
        for node in ast.walk(ast.parse(path.read_text())):
            names: set[str] = set()
            if isinstance(node, ast.Import):
                names = {alias.name for alias in node.names} & FORBIDDEN_IMPORTS
            elif isinstance(node, ast.ImportFrom):
                names = {node.module or ""} & FORBIDDEN_IMPORTS
            elif isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                names = {called} & (FORBIDDEN_CALLS | FORBIDDEN_ATTRIBUTES)
            found += [f"{shown(path)}:{name}" for name in names]
    assert found == []


NAMES = [
    "../../etc/passwd",
    "..\\..\\x",
    "CON",
    "nul\0",
    "/etc/passwd",
    "%2e%2e",
    "~root",
    "m" * 4096,
]


@pytest.mark.parametrize("name", NAMES)
async def test_a18_names_are_no_files(name: str) -> None:
    """A18: a model's name that looks like a path is an unknown model, and nothing is opened."""
    async with asking() as asked:
        outcome = await asked.post(model=name)
        asked.check_refused(outcome, 404, "model_not_found", "model")
        assert b"root:" not in outcome.reply.body


@pytest.mark.parametrize("name", ["%2Fetc%2Fpasswd", "..%2F..%2Fetc%2Fpasswd", "CON", "m%00"])
async def test_a18_names_in_paths_are_no_files(name: str) -> None:
    """A18: nor is it one where the name stands in the path."""
    async with asking() as asked:
        outcome = await asked.post_raw(get(f"/v1/models/{name}", *KEYED))
        assert outcome.verdict[:2] == ("refused", 404)
        assert b"root:" not in outcome.reply.body


@pytest.mark.parametrize("path", ["/health", "/health/liveness", "/health/readiness"])
async def test_a41_health_tells_strangers_nothing(path: str) -> None:
    """A41: without a key, health has numbers and states, but no name, address or software."""
    provider = build_provider("http://inner.example:8123/v1", name="acme-eu", models=("m-7",))
    async with judging(serving(build_snapshot(provider))) as judge:
        outcome = await judge.ask_raw(get(path), is_recorded=False)
    told = (outcome.reply.head + outcome.reply.body).decode().lower()
    for secret in ("acme", "inner.example", "8123", "m-7", "aiohttp", "python", "127.0.0.1"):
        assert secret not in told


@pytest.mark.parametrize("fields", [("Host: a",), ("Host: a", "Authorization: Bearer x")])
async def test_a41_metrics_are_closed(fields: tuple[str, ...]) -> None:
    """A41: metrics name providers and models, so they are for holders of a key."""
    async with asking() as asked:
        outcome = await asked.post_raw(get("/metrics", *fields))
        asked.check_refused(outcome, 401, "invalid_api_key")


@pytest.mark.parametrize(
    "fields",
    [
        ("Host: localhost", "Forwarded: for=127.0.0.1"),
        ("Host: localhost", "X-Forwarded-For: 127.0.0.1"),
        ("Host: localhost", "X-Real-IP: 127.0.0.1"),
        ("Host: localhost", "Origin: http://evil.test"),
        ("Host: evil.test",),
    ],
)
async def test_a17_a41_loopback_is_not_behind_others(fields: tuple[str, ...]) -> None:
    """A17, A41: metrics open to this machine stay closed to what a proxy or browser passes on."""
    async with asking(metrics_auth=False) as asked:
        outcome = await asked.post_raw(get("/metrics", *fields))
        asked.check_refused(outcome, 401, "invalid_api_key")


async def test_a53_ids_are_ours() -> None:
    """A53: what a client calls its request is not what we call it; two are never one."""
    spoof = {
        "x-request-id": "req_00000000000000000000000000000001",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "X-Correlation-ID": "1",
    }
    async with asking() as asked:
        first, second = [await asked.post(headers=spoof) for _ in range(2)]
        assert first.request_id != second.request_id
        assert spoof["x-request-id"] not in (first.request_id, second.request_id)
        record = await asked.judge.read_record(first)
        assert record.trace_id == "0af7651916cd43dd8448eb211c80319c"
        assert record.request_id == first.request_id


@pytest.mark.parametrize(
    "key", ["sk-1234", "changeme", "your-api-key-here", "replace-with-your-own-key", "x" * 21]
)
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a54_a_weak_admin_key_is_refused_at_the_start(tmp_path: Path, key: str, host: str) -> None:
    """A54: an admin key that is short or a placeholder does not start, not even on loopback."""
    path = tmp_path / "config.yaml"
    path.write_text(f"host: {host}\nadmin_keys: ['{key}']\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path, {}, HASHER, now_at=0.0)
    assert "admin_keys" in str(caught.value)
    assert key not in str(caught.value)


def test_a54_the_shipped_configuration_has_no_key_for_all() -> None:
    """A54: what is shipped opens no administration, and no other address than this machine's."""
    loaded = load_config(
        python_files("proxy")[0].parents[1] / "config.yaml", {}, HASHER, now_at=0.0
    )
    assert not loaded.snapshot.has_admin_keys
    assert all(host in ("127.0.0.1", "::1", "localhost") for host, _ in loaded.install.listen)
