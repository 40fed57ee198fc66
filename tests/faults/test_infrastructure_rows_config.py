"""Rows I20 and I23 to I31: what may happen to configuration files while a server lives by them."""

import asyncio
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.end_to_end.asking import ASK, knobs
from tests.end_to_end.live import LiveProxy, build_live_config, living
from tests.end_to_end.served import KEY, PROVIDER_KEY
from tests.end_to_end.test_serve import asking, build_chat

IN_FORCE_PROMISE_S = 1.0
WAIT_PROMISE_S = 0.02
SLACK = 10


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveProxy]:
    """One proxy of two workers for all rows that leave it as it was."""
    with living(
        tmp_path_factory.mktemp("rows"), build_live_config("sim-first", workers=2)
    ) as running:
        yield running


@pytest.fixture(autouse=True)
async def as_before(live: LiveProxy) -> None:
    """Each row begins with one model, named `sim-first`."""
    assert "sim-first" in await live.list_models()
    remove(live.path)
    live.path.write_text(json.dumps(build_live_config("sim-first", workers=2)))
    live.path.chmod(0o600)
    assert live.reload(allow_shrink=True)["problems"] == []


def remove(path: Path) -> None:
    """Remove whatever is there."""
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


async def assert_unmoved(live: LiveProxy, words: str) -> None:
    """The last good configuration serves, readiness is 200, and the reason is told."""
    assert "sim-first" in await live.list_models()
    assert (await live.get("/health/readiness"))[0] == 200
    status, body = await live.get("/health")
    assert status == 200
    assert words in body["config"]["last_error"]
    assert body["components"]["config_manager"] == "degraded"


async def test_i23_a_file_that_is_written_in_pieces(live: LiveProxy) -> None:
    """A file is taken when it has come to rest: what is in between is never in force."""
    text = json.dumps(build_live_config("sim-first", "sim-second", workers=2), indent=2)
    mark = live.mark
    with live.path.open("w") as file:
        for start in range(0, len(text), 100):
            file.write(text[start : start + 100])
            file.flush()
            await asyncio.sleep(0)
    assert live.wait_for_news(mark)["result"] == "applied"
    assert len([line for line in live.said(mark) if line.startswith("the configuration")]) == 1
    assert {"sim-first", "sim-second"} <= set(await live.list_models())


async def test_i23_a_beginning_of_a_file(live: LiveProxy) -> None:
    """A file that was cut off and can still be read is held back by the guard."""
    head = f"api_keys: ['{KEY}']\nworkers: 2\n"
    line = live.wait_for_news(live.write(head))
    assert line["result"] == "guarded"
    await assert_unmoved(live, "none of the 1 providers in service is left")


@pytest.mark.parametrize("how", ["write", "replace"])
async def test_i24_edits_of_every_kind(live: LiveProxy, how: str) -> None:
    """Written in place or renamed over, an edit is in force on every worker within its promise."""
    change = live.write if how == "write" else live.replace
    started_s = asyncio.get_running_loop().time()
    line = live.wait_for_news(change(build_live_config("sim-first", "sim-second", workers=2)))
    assert asyncio.get_running_loop().time() - started_s < IN_FORCE_PROMISE_S * SLACK
    assert line["result"] == "applied"
    for _ in range(20):  # connections, each accepted by either worker
        assert "sim-second" in await live.list_models()


async def test_i24_an_empty_file(live: LiveProxy) -> None:
    """`> config.yaml` is refused, and said."""
    assert live.wait_for_news(live.write(""))["result"] == "rejected"
    await assert_unmoved(live, "the file is empty")


async def test_i25_a_directory_of_kubernetes(tmp_path: Path) -> None:
    """The swap of a `..data` link brings the new file, also where only the poll can see it."""
    for name, models in (("one", ("sim-first",)), ("two", ("sim-first", "sim-second"))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(json.dumps(build_live_config(*models)))
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    (mounted / "..data").symlink_to(tmp_path / "one")
    (mounted / "config.yaml").symlink_to(Path("..data") / "config.yaml")
    with living(tmp_path, {}, path=mounted / "config.yaml") as live:
        mark = live.mark
        (mounted / "..data_tmp").symlink_to(tmp_path / "two")
        (mounted / "..data_tmp").rename(mounted / "..data")
        assert live.wait_for_news(mark)["result"] == "applied"
        assert "sim-second" in await live.list_models()


def _make_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _make_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _make_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _make_huge(path: Path) -> None:
    with path.open("ab") as file:
        file.truncate(9 * 1024 * 1024)


def _make_strange(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(path, 12345, 12345)


@pytest.mark.parametrize(
    ("ruin", "words"),
    [
        (Path.unlink, "there is no such configuration file"),
        (_make_fifo, "not a regular file"),
        (_make_directory, "not a regular file"),
        (_make_loop, "cannot be read"),
        (_make_huge, "larger than 8 MiB"),
        (_make_strange, "belongs to"),
    ],
    ids=["deleted", "fifo", "directory", "loop", "huge", "strangers"],
)
async def test_i26_what_is_no_file_of_ours(
    live: LiveProxy, ruin: Callable[[Path], None], words: str
) -> None:
    """Whatever takes the file's place, the last good one serves; the right file brings it back."""
    mark = live.mark
    ruin(live.path)
    assert live.wait_for_news(mark)["result"] == "rejected"
    await assert_unmoved(live, words)
    mark = live.mark
    remove(live.path)
    live.write(build_live_config("sim-first", workers=2))
    assert live.wait_for_reload(mark)["result"] == "unchanged"
    _, body = await live.get("/health")
    assert body["config"]["last_error"] is None


@pytest.mark.parametrize(
    "text",
    [
        f"api_keys: ['{KEY}'\n",
        f"api_keys:\n\t- '{KEY}'\n",
        f"port: 8000\nport: 8001\napi_keys: ['{KEY}']\n",
        f"api_keys: [!!python/object/apply:os.system ['{KEY}']]\n",
        f"api_keys: ['{KEY}']\nrate_limit_rpm: 1:30\n",
        f"api_keys: ['{KEY}']\nhost: no\n",
        f"providers: [{{name: a, type: openai, api_key: '{PROVIDER_KEY} {KEY}'}}]\n",
    ],
    ids=["syntax", "tab", "twice", "tag", "base-60", "no", "key"],
)
async def test_i27_bad_yaml(live: LiveProxy, text: str) -> None:
    """Every mistake is told with line and column, and no secret with it."""
    mark = live.write(text)
    assert live.wait_for_news(mark)["result"] == "rejected"
    await assert_unmoved(live, f"{live.path}:")
    _, body = await live.get("/health")
    assert KEY not in body["config"]["last_error"]
    assert PROVIDER_KEY not in body["config"]["last_error"]


def test_i20_a_storm_of_hangups(live: LiveProxy) -> None:
    """A hundred SIGHUPs are a reload or two, and leave no descriptor behind."""
    descriptors = Path(f"/proc/{live.program.pid}/fd")
    before, mark = len(list(descriptors.iterdir())), live.mark
    for _ in range(100):
        live.program.signal(signal.SIGHUP)
    live.wait_for_reload(mark)
    assert live.reload()["result"] == "unchanged"  # whatever still waited is done by now
    reloads = [line for line in live.said(mark) if line.startswith("the configuration was read")]
    assert len(reloads) <= 3
    assert len(list(descriptors.iterdir())) <= before


async def test_i29_a_variable_that_is_missing(live: LiveProxy) -> None:
    """A provider without its key is disabled, the others serve, and no `${...}` goes anywhere."""
    config = build_live_config("sim-first", workers=2)
    missing = {
        "name": "keyless",
        "type": "openai",
        "api_key": "${NOWHERE_SET_API_KEY}",
        "models": ["gpt-4o"],
    }
    config["providers"].append(missing)
    assert live.wait_for_news(live.write(config))["result"] == "applied"
    models = await live.list_models()
    assert "sim-first" in models
    assert "gpt-4o" not in models
    status, _ = await live.post("/v1/chat/completions", {"model": "gpt-4o", "messages": ASK}, KEY)
    assert status == 503


async def test_i29_no_provider_is_usable(tmp_path: Path) -> None:
    """A service without any usable provider starts, and readiness says 503."""
    config: dict[str, Any] = {
        "api_keys": [KEY],
        "providers": [{"name": "a", "type": "openai", "models": ["gpt-4o"]}],
    }
    with living(tmp_path, config) as live:
        assert (await live.get("/health/readiness", None))[0] == 503
        assert (await live.get("/health", None))[0] == 200


async def test_i31_a_stream_outlives_its_provider(live: LiveProxy) -> None:
    """A stream of a provider that is taken out goes on to its end; new requests find it gone."""
    config = build_live_config("sim-first", workers=2)
    doomed = {"name": "doomed", "type": "simulator", "models": ["sim-story"]}
    config["providers"].append(doomed)
    assert live.wait_for_news(live.write(config))["result"] == "applied"
    body = build_chat("doomed/sim-story", stream=True, **knobs(tokens_per_s=50, tokens=60))
    async with asking(live, body) as answer:
        await answer.content.readline()
        mark = live.write(build_live_config("sim-first", workers=2))
        assert live.wait_for_news(mark)["result"] == "applied"
        status, _ = await live.post("/v1/chat/completions", build_chat("doomed/sim-story"), KEY)
        assert status == 404
        rest = await answer.content.read()
    assert rest.endswith(b"data: [DONE]\n\n")


async def test_i30_ten_thousand_models(live: LiveProxy) -> None:
    """While a large configuration comes into force no request waits long, on either worker."""
    config = build_live_config("sim-first", workers=2)
    large = [
        {
            "name": f"provider-{n}",
            "type": "openai_compatible",
            "base_url": "http://127.0.0.1:9",
            "models": [f"model-{n}-{m}" for m in range(20)],
        }
        for n in range(500)
    ]
    loop, slowest_s, mark = asyncio.get_running_loop(), 0.0, live.mark
    text = json.dumps({**config, "providers": [*config["providers"], *large]})
    reload = asyncio.create_task(asyncio.to_thread(live.wait_for_news, mark))
    live.write(text)
    headers = {"Authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(live.url, headers=headers) as session:
        while not reload.done():
            started_s = loop.time()
            async with session.get("/v1/models/sim-first") as answer:
                assert answer.status == 200
            slowest_s = max(slowest_s, loop.time() - started_s)
    assert (await reload)["result"] == "applied"
    assert slowest_s < WAIT_PROMISE_S * SLACK
    assert len(await live.list_models()) > 10_000
