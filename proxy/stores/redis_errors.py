"""
What can go wrong between this process and Redis.

    RedisUnavailable        the one to catch: go on without Redis
    +-- RedisAway           nobody is asked: the link is open, has ended, or was just lost
    +-- RedisTimeout        asked, and no reply in time: it may have been done
    +-- RedisBusy           not asked: too much was waiting; says nothing about Redis's health
    +-- RedisRefused        Redis answered with an error, or with what its asker cannot read

Nothing that the client library raises gets past the link. Messages are for logs: they hold no
address and no part of a URL.
"""


class RedisUnavailable(Exception):
    """Redis has not done what was asked, as far as this process knows."""


class RedisAway(RedisUnavailable):
    """The link is open or was lost; lost after sending, the job may have been done."""


class RedisTimeout(RedisUnavailable):
    """No reply in time; the job may have been done, or may be done later."""


class RedisBusy(RedisUnavailable):
    """The job waited too long for its turn, or found no place; it was not sent."""


class RedisRefused(RedisUnavailable):
    """Redis has answered this one job with an error, or with nothing that its asker can read."""
