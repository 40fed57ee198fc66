"""A provider's secret that stands in a variable: `${NAME}` in the place of the value."""

import re

from proxy.config.environment import Variable
from proxy.config.node import Node

REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}\Z")
# Secrets that are ours or the machine's: no provider, wherever it is, gets to see them.
_READABLE = re.compile(r"PROXY_API_\w+\Z|\w+_(API_)?KEY\Z|\w+_TOKEN\Z")
_WITHHELD = re.compile(
    r"PROXY_API_(MASTER_SECRET|API_KEYS|ADMIN_KEYS)\Z|LITELLM_\w+\Z|AWS_\w+\Z|\w*_SECRET_\w+\Z"
    r"|\w*(DATABASE|REDIS)_URL\Z"
)


def may_hold_key(name: str) -> bool:
    """Tell whether a variable may be named as the one that holds a provider's key or a token."""
    return _READABLE.match(name) is not None and not is_withheld(name)


def is_withheld(name: str) -> bool:
    """Tell whether a variable holds a secret of another kind, which no provider may be given."""
    return _WITHHELD.match(name) is not None


def build_node(variable: Variable) -> Node:
    """Return a variable as a node of the tree, with what it has replaced."""
    lower = variable.replaced
    return Node(
        variable.text.reveal().strip(),
        variable.place,
        replaced=None if lower is None else build_node(lower),
    )
