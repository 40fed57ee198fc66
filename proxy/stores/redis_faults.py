"""What an error means that Redis answers with: for the link, and in words for its log line."""

import re

from msgspec import Struct

from proxy.stores.redis_health import LinkFault

_REFUSALS = {
    "READONLY": "it takes no writes, being a replica",
    "LOADING": "it is loading its data",
    "MASTERDOWN": "it is a replica that has lost its master",
    "MOVED": "it is a node of a cluster, and another one has the keys",
    "ASK": "it is a node of a cluster, and the keys are moving",
    "TRYAGAIN": "it is a node of a cluster, and the keys are moving",
    "CLUSTERDOWN": "its cluster is down",
    "OOM": "its memory is full",
    "MISCONF": "it takes no writes because it cannot save its data",
    "NOREPLICAS": "it takes no writes because it has too few replicas",
    "BUSY": "it is busy with somebody's script",
}
_DENIALS = {
    "NOAUTH": "it asks for a user and a password",
    "WRONGPASS": "it knows no such user with that password",
    "NOPERM": "its access list denies this user something that is needed",
}
# Up to Redis 6 a script's error is wrapped, and since 7 not every denial has its code.
_WRAPPED = re.compile(r"ERR Error running script .*?-(?=[A-Z]+ )")
_DENIED = re.compile(r"ACL failure in script|invalid password|AUTH.* no password is set", re.I)


class ReplyError(Struct, frozen=True):
    """An error that Redis has answered one command with."""

    text: str
    """As it came: a code in capital letters, a space, and words."""

    @property
    def code(self) -> str:
        """The code alone, such as `NOSCRIPT`."""
        return _WRAPPED.sub("", self.text).partition(" ")[0]

    @property
    def fault(self) -> LinkFault | None:
        """What it says about Redis as a whole; None if it is about the one command."""
        code = self.code
        if code in _REFUSALS:
            return LinkFault("refused", _REFUSALS[code])
        if code in _DENIALS:
            return LinkFault("denied", _DENIALS[code])
        if _DENIED.search(self.text):
            return LinkFault("denied", _DENIALS["NOPERM" if "ACL" in self.text else "WRONGPASS"])
        if "max number of clients" in self.text:
            return LinkFault("refused", "it has as many clients as it takes")
        return None
