"""All searches together: outages, restarts, second looks, and what is written down of it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path

import pytest
import structlog
from msgspec.structs import replace

from health_worker.discovery.base import SourceFailed
from health_worker.discovery.candidate import Candidate, Found
from health_worker.discovery.discovery import Delays, Discovery
from health_worker.discovery.file import FoundFile
from health_worker.discovery.models import ModelAsker
from proxy.domain.discovery import ConsulSettings, DiscoverySettings, RegistrySettings, SourceName
from proxy.domain.secret import Secret
from tests.fakes.consul import Instance, open_consul
from tests.fakes.raw_upstream import open_raw_upstream
from tests.fakes.registry import open_registry
from tests.fakes.upstream_scripts import answering

pytestmark = pytest.mark.usefixtures("no_leaks")

AT_ONCE = Delays(0.0, 0.0, 0.001, 0.001)
BOTH = DiscoverySettings(
    registry=RegistrySettings("https://r.example/list"),
    consul=ConsulSettings("http://127.0.0.1:8500", ("s",)),
    private_networks=("127.0.0.0/8",),
)


def found(*names: str) -> Found:
    """Return these providers as a source tells them."""
    return Found(tuple(Candidate(name, f"https://{name}.example", models=("m",)) for name in names))


class Script:
    """A Source that says what a test puts into it."""

    waits_itself = True

    def __init__(self, name: SourceName) -> None:
        self.name = name
        self.told: asyncio.Queue[Found | Exception] = asyncio.Queue()
        self.now: list[Found | Exception] = [Found()]
        """What `find` says, one after the other; the last one for ever."""
        self.finds = 0
        self.is_closed = False

    async def next(self) -> Found:
        """Return what the test tells next."""
        return _say(await self.told.get())

    async def find(self) -> Found:
        """Return what is there now."""
        self.finds += 1
        return _say(self.now.pop(0) if len(self.now) > 1 else self.now[0])

    async def close(self) -> None:
        """Take note of it."""
        self.is_closed = True


def _say(what: Found | Exception) -> Found:
    if isinstance(what, Exception):
        raise what
    return what


class Bench:
    """A discovery over scripts, in a directory of its own."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.opened: list[Script] = []
        self.discovery = self.begin()

    def begin(self, settings: DiscoverySettings = BOTH) -> Discovery:
        """Return a discovery as a start makes it."""
        self.opened.clear()
        self.discovery = Discovery(
            settings, self.state_dir, open_one=self._open, delays=AT_ONCE, read_clock=lambda: 50.0
        )
        return self.discovery

    def script(self, name: SourceName) -> Script:
        """Return the source of that name which was opened last."""
        return [script for script in self.opened if script.name == name][-1]

    @property
    def written(self) -> list[str]:
        """The names in the file, once nothing else is about to be written."""
        names = [entry.name for entry in FoundFile(self.state_dir).read()]
        return names if names == [entry.name for entry in self.discovery.found] else ["?"]

    def _open(
        self, name: SourceName, _s: DiscoverySettings, _a: ModelAsker, _p: Collection[int]
    ) -> Script:
        self.opened.append(Script(name))
        return self.opened[-1]


async def until(is_so: Callable[[], bool]) -> None:
    """Let the loop turn until something is so."""
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110 - there is no event: a file is looked at
            await asyncio.sleep(0)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A discovery that has started, with a registry and Consul that have told nothing yet."""
    bench = Bench(tmp_path)
    bench.discovery.start()
    yield bench
    await bench.discovery.close()
    assert all(script.is_closed for script in bench.opened)


async def test_what_is_told_is_written_down(bench: Bench) -> None:
    """Each source adds its own, and what it tells later takes the place of that."""
    bench.script("registry").told.put_nowait(found("a", "b"))
    bench.script("consul").told.put_nowait(found("c"))
    await until(lambda: bench.written == ["a", "b", "c"])
    bench.script("registry").told.put_nowait(found("b", "d"))
    await until(lambda: bench.written == ["b", "d", "c"])
    [entry, *_] = bench.discovery.found
    assert (entry.found_by, entry.found_at) == ("registry", 50.0)


async def test_the_same_again_is_not_written(bench: Bench) -> None:
    """The file is touched only if it comes to something else."""
    bench.script("registry").told.put_nowait(found("a"))
    await until(lambda: bench.written == ["a"])
    before = (bench.state_dir / "discovered.json").stat()
    bench.script("registry").now = [found("a")]
    summary = await bench.discovery.run_now()
    assert summary == {"found": 1, "added": [], "removed": [], "problems": {}}
    after = (bench.state_dir / "discovered.json").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("harm", ["remove", "damage"])
async def test_a_file_that_was_harmed_is_written_anew(bench: Bench, harm: str) -> None:
    """The next search mends what somebody has removed or damaged."""
    bench.script("registry").now = [found("a")]
    await bench.discovery.run_now()
    path = bench.state_dir / "discovered.json"
    if harm == "remove":
        path.unlink()
    else:
        path.write_text("{")
    await bench.discovery.run_now()
    assert bench.written == ["a"]


async def test_an_outage_keeps_what_was_found(bench: Bench) -> None:
    """A source that fails takes nothing away, and its status says what is wrong."""
    registry = bench.script("registry")
    registry.told.put_nowait(found("a", "b", "c"))
    await until(lambda: len(bench.written) == 3)
    registry.now = [SourceFailed("status 503")]
    registry.told.put_nowait(SourceFailed("status 503"))
    await until(lambda: registry.finds > 1)
    assert bench.written == ["a", "b", "c"]
    status = bench.discovery.statuses[0]
    assert (status.found, status.answered_at, status.problem) == (3, 50.0, "status 503")
    registry.now = [found("a", "b")]
    await until(lambda: bench.written == ["a", "b"])
    assert bench.discovery.statuses[0].problem is None


async def test_a_fault_of_ours_costs_only_its_source(bench: Bench) -> None:
    """An exception that nobody has foreseen is retried, and other sources go on."""
    bench.script("registry").now = [found("a")]
    bench.script("registry").told.put_nowait(KeyError("x"))
    bench.script("consul").told.put_nowait(found("c"))
    await until(lambda: bench.written == ["a", "c"])


async def test_a_restart_begins_with_the_file(bench: Bench) -> None:
    """While a source has not answered yet, what the file says of it goes on."""
    bench.script("registry").told.put_nowait(found("a"))
    bench.script("consul").told.put_nowait(found("c"))
    await until(lambda: bench.written == ["a", "c"])
    await bench.discovery.close()
    bench.begin().start()
    bench.script("registry").now = bench.script("consul").now = [SourceFailed("no answer")]
    summary = await bench.discovery.run_now()
    assert summary["found"] == 2
    assert summary["problems"] == {"registry": "no answer", "consul": "no answer"}
    assert bench.written == ["a", "c"]
    bench.script("registry").told.put_nowait(found("a", "b"))
    await until(lambda: bench.written == ["a", "b", "c"])


async def test_more_than_half_gone_is_looked_at_twice(bench: Bench) -> None:
    """A search that suddenly finds little is asked again, and what it says then counts."""
    registry = bench.script("registry")
    registry.told.put_nowait(found("a", "b", "c", "d"))
    await until(lambda: len(bench.written) == 4)
    registry.now = [found("a", "b", "c", "d")]
    registry.told.put_nowait(Found())
    await until(lambda: registry.finds == 1)
    registry.told.put_nowait(found("a", "b"))  # half of them may leave at once
    await until(lambda: bench.written == ["a", "b"])
    assert registry.finds == 1
    registry.now = [SourceFailed("status 500"), Found()]
    registry.told.put_nowait(Found())
    await until(lambda: bench.written == [])
    assert registry.finds >= 3


async def test_a_search_on_request_looks_everywhere(bench: Bench) -> None:
    """It tells how many there are, who has come and gone, and what was wrong."""
    bench.script("registry").told.put_nowait(found("a", "b"))
    await until(lambda: bench.written == ["a", "b"])
    bench.script("registry").now = [
        replace(found("b", "c", "a\n"), problems=("entry 3 is broken",))
    ]
    bench.script("consul").now = [SourceFailed("status 403")]
    summary = await bench.discovery.run_now()
    assert (summary["found"], summary["added"], summary["removed"]) == (2, ["c"], ["a"])
    assert summary["problems"]["consul"] == "status 403"
    assert "registry" in summary["problems"]


async def test_searches_on_request_are_shared(bench: Bench) -> None:
    """However many ask at once, each source is asked once."""
    registry, consul = bench.script("registry"), bench.script("consul")
    summaries = await asyncio.gather(*(bench.discovery.run_now() for _ in range(100)))
    assert [summary["found"] for summary in summaries] == [0] * 100
    assert (registry.finds, consul.finds) == (1, 1)


async def test_a_long_list_holds_up_nobody(bench: Bench) -> None:
    """No more servers are asked for their models than may be used, and few reasons are told."""
    server = answering({"data": [{"id": "m"}]})
    async with open_raw_upstream(server) as upstream:
        listed = [Candidate(f"a{i}", f"{upstream.url}/{i}") for i in range(200)]
        bench.discovery.update(replace(BOTH, max_providers=3))
        bench.script("registry").now = [Found(tuple(listed))]
        summary = await bench.discovery.run_now()
    assert (summary["found"], len(server.requests)) == (3, 3)
    assert len(summary["problems"]) == 100


async def test_a_damaged_file_waits_for_what_a_source_says(tmp_path: Path) -> None:
    """While no source answers it is not emptied: the proxies still know what it held."""
    path = tmp_path / "discovered.json"
    path.write_text('{"providers": [')
    bench = Bench(tmp_path)
    bench.discovery.start()
    for script in bench.opened:
        script.now = [SourceFailed("status 503")]
    assert (await bench.discovery.run_now())["found"] == 0
    assert path.read_text() == '{"providers": ['
    bench.script("registry").now = [found("a")]
    assert (await bench.discovery.run_now())["found"] == 1
    assert bench.written == ["a"]
    await bench.discovery.close()


async def test_nothing_to_search_is_said(tmp_path: Path) -> None:
    """Without a source a search says what to set; an old file is emptied once settings say so."""
    bench = Bench(tmp_path)
    (tmp_path / "discovered.json").write_text(
        json.dumps(
            {
                "providers": [
                    {
                        "name": "old",
                        "type": "vllm",
                        "base_url": "https://old.example/v1",
                        "models": ["m"],
                        "found_by": "consul",
                        "found_at": 1.0,
                    }
                ]
            }
        )
    )
    discovery = bench.begin(DiscoverySettings())
    discovery.start()
    summary = await discovery.run_now()
    assert summary["found"] == 0
    assert "set provider_registry_url" in summary["problems"]["discovery"]
    assert bench.written == ["old"]  # the configuration has not come yet
    discovery.update(DiscoverySettings())
    await until(lambda: bench.written == [])
    await discovery.close()


async def test_settings_change_while_it_runs(bench: Bench) -> None:
    """A source that is switched off is closed with what it found; others are not disturbed."""
    registry, consul = bench.script("registry"), bench.script("consul")
    registry.told.put_nowait(found("a"))
    consul.told.put_nowait(found("c"))
    await until(lambda: bench.written == ["a", "c"])
    bench.discovery.update(replace(BOTH, consul=None))
    await until(lambda: bench.written == ["a"] and consul.is_closed)
    assert not registry.is_closed
    bench.discovery.update(replace(BOTH, registry=RegistrySettings("https://other.example/")))
    assert [script.name for script in bench.opened] == ["registry", "consul", "registry", "consul"]
    await until(lambda: registry.is_closed)
    assert bench.written == ["a"]  # until the other one has answered


async def test_whoever_names_no_models_is_asked(bench: Bench) -> None:
    """Models come from the server itself, are refreshed, and survive its silence."""
    server = answering({"data": [{"id": "m-1"}]})
    async with open_raw_upstream(server) as upstream:
        candidate = Candidate("a", upstream.url)
        bench.script("registry").now = [Found((candidate,))]
        bench.script("registry").told.put_nowait(Found((candidate,)))
        await until(lambda: bench.written == ["a"])
        assert bench.discovery.found[0].models == ("m-1",)
        server.chunks = (b'{"data": [{"id": "m-2"}]}',)
        await bench.discovery.run_now()
        assert bench.discovery.found[0].models == ("m-2",)
    summary = await bench.discovery.run_now()
    assert bench.discovery.found[0].models == ("m-2",)
    assert summary["problems"] == {}


async def test_one_whose_models_nobody_knows_waits(bench: Bench) -> None:
    """It is no provider yet, with the reason, and is asked again before the next round."""
    server = answering({"data": []})
    async with open_raw_upstream(server) as upstream:
        candidate = Candidate("a", upstream.url)
        bench.script("registry").now = [Found((candidate,))]
        summary = await bench.discovery.run_now()
        assert summary["problems"] == {"a": "it lists no models"}
        server.chunks = (b'{"data": [{"id": "m"}]}',)
        await until(lambda: bench.written == ["a"])


async def test_why_something_cannot_be_used_is_logged_once(bench: Bench) -> None:
    """One line while the reason stays the same, so that nobody has to ask for it."""
    candidate = Candidate("a", "http://10.0.0.7:8000", models=("m",))
    bench.script("registry").now = [Found((candidate,))]
    with structlog.testing.capture_logs() as lines:
        await bench.discovery.run_now()
        await bench.discovery.run_now()
    told = [line["reason"] for line in lines if "cannot be used" in line["event"]]
    assert told == ["a: its address is not public, and not in discovery.private_networks"]


async def test_a_full_disk_costs_nothing_but_the_file(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be written down is tried again with the next change."""

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(FoundFile, "write", fail)
        bench.script("registry").now = [found("a")]
        assert (await bench.discovery.run_now())["found"] == 0
    assert (await bench.discovery.run_now())["found"] == 1
    assert bench.written == ["a"]


async def test_real_sources_and_a_key_of_nobody_else(tmp_path: Path) -> None:
    """Servers are asked with the key of the search, and each API with the token of its own."""
    server = answering({"data": [{"id": "m"}]})
    async with (
        open_registry() as registry,
        open_consul() as consul,
        open_raw_upstream(server) as upstream,
    ):
        registry.token, consul.token = "r-token", "c-token"
        registry.list = [{"name": "a", "base_url": f"{upstream.url}/a"}]
        await consul.put("s", Instance("127.0.0.1", upstream.port))
        settings = DiscoverySettings(
            registry=RegistrySettings(registry.url, Secret("r-token")),
            consul=ConsulSettings(consul.url, ("s",), token=Secret("c-token")),
            private_networks=("127.0.0.0/8",),
            api_key=Secret("sk-search"),
        )
        discovery = Discovery(settings, tmp_path, delays=AT_ONCE)
        discovery.start()
        names = ["a", f"s-127-0-0-1-{upstream.port}"]
        await until(lambda: [entry.name for entry in FoundFile(tmp_path).read()] == names)
        await consul.put("s")
        await until(lambda: [entry.name for entry in FoundFile(tmp_path).read()] == names[:1])
        await discovery.close()
    sent = {headers["authorization"] for _, headers, _ in server.requests}
    assert sent == {"Bearer sk-search"}
    assert not any("token" in str(headers) for _, headers, _ in server.requests)
