"""Coming (back) to Redis: connect, and see that it does all that it will be asked for."""

import structlog

from proxy.stores.redis_connection import RedisConnection, pack
from proxy.stores.redis_faults import ReplyError
from proxy.stores.redis_health import LinkBroken, LinkFault
from proxy.stores.redis_job import Answer, Words

# Writing from within a script is what every script does: a replica, a full memory or an access
# list that denies it is seen here, before requests are let at it.
_WRITE = "return redis.call('SET', KEYS[1], '1', 'PX', 1000)"
_log = structlog.get_logger("llm_proxy.redis")


async def join(connection: RedisConnection, key_prefix: str, *, ask_memory: bool) -> None:
    """
    Open a connection and prove that Redis answers, runs scripts and takes writes.

    Args:
        connection: a dropped or a new one; stays open if all is well.
        key_prefix: begins the one key that is written; it lives for a second.
        ask_memory: also ask what Redis does with a full memory, and warn of what loses state.

    Raises:
        LinkBroken: not now.
    """
    await connection.open()
    commands: list[Words] = [("PING",), ("EVAL", _WRITE, 1, f"{key_prefix}link")]
    if ask_memory:
        commands.append(("CONFIG", "GET", "maxmemory*"))
    replies: list[Answer] = []
    await connection.exchange([pack(words) for words in commands], replies)
    for reply in replies[:2]:
        if isinstance(reply, ReplyError):
            await connection.drop()
            unknown = LinkFault("refused", "it does not run a script that writes")
            raise LinkBroken(reply.fault or unknown)
    if ask_memory:
        _judge_memory(replies[2])


def _judge_memory(reply: Answer) -> None:
    if not isinstance(reply, list):
        _log.debug("redis does not tell its maxmemory-policy")
        return
    texts = [part.decode("ascii", "replace") for part in reply if isinstance(part, bytes)]
    settings = dict(zip(texts[::2], texts[1::2], strict=False))
    policy = settings.get("maxmemory-policy", "")
    if settings.get("maxmemory", "0") != "0" and not policy.startswith(("noeviction", "volatile-")):
        _log.warning(
            "redis may drop circuit breakers when its memory is full:"
            " set maxmemory-policy to noeviction or to one of volatile-*",
            policy=policy,
        )
