"""Which providers a key has to do with, and that many of them are listed at once."""

import time

from proxy.domain.identity import Caller
from proxy.server.provider_list import ProviderList, list_models
from proxy.stores.memory_verdicts import MemoryVerdicts
from tests.fakes.proxy_server import build_provider
from tests.server.administration import administrating, build_catalog
from tests.server.news import build_news, build_verdict

ANYONE = Caller("key_anyone")


async def test_a_restricted_key_has_to_do_with_few() -> None:
    """Those of the names that it may ask for; an administrator's restriction is none."""
    snapshot = build_catalog()
    restricted = Caller("key_few", models=frozenset(("chat", "nothing at all")))
    assert await list_models(snapshot, restricted) == {"any": ["routed"]}
    admin = Caller("key_admin", role="admin", models=frozenset(("m",)))
    assert (await list_models(snapshot, admin)).keys() == {"up", "any"}
    assert (await list_models(snapshot, ANYONE)).keys() == {"up", "any"}


async def test_fifty_providers_are_listed_in_no_time() -> None:
    """With verdicts and 20 models each: 5 ms are promised, ten times that is allowed here."""
    providers = [
        build_provider(
            f"http://127.0.0.1:1/v{n}", name=f"p{n}", models=tuple(f"m{m}" for m in range(20))
        )
        for n in range(50)
    ]
    verdicts = MemoryVerdicts()
    async with administrating(build_catalog(*providers), verdicts=verdicts) as asked:
        verdicts.take(build_news(1, *(build_verdict(each) for each in providers)))
        began_s = time.process_time()
        snapshot = asked.server.runtime.snapshot
        shown = await ProviderList(asked.state).describe(snapshot, ANYONE)
        took_s = time.process_time() - began_s
        await verdicts.close()
    assert [each["status"] for each in shown] == ["healthy"] * 50
    assert took_s < 0.05
