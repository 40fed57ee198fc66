"""Secrets in variables: how they are named, and which may never be given to a provider."""

import pytest

from proxy.config.environment import Variable
from proxy.config.problem import Place
from proxy.config.reference import REFERENCE, build_node, is_withheld, may_hold_key
from proxy.domain.secret import Secret


@pytest.mark.parametrize("text", ["${}", "${1A}", "${A-B}", "x${A}", "${A}x", "$A", "${A}\n"])
def test_only_a_whole_value_is_a_reference(text: str) -> None:
    """`${NAME}` and nothing beside it is read from a variable."""
    assert REFERENCE.match("${A_1}") is not None
    assert REFERENCE.match(text) is None


@pytest.mark.parametrize(
    "name", ["PROXY_API_MASTER_SECRET", "AWS_SECRET_ACCESS_KEY", "REDIS_URL", "X_DATABASE_URL"]
)
def test_secrets_of_another_kind_are_withheld(name: str) -> None:
    """Ours, the machine's and those of stores are given to no provider."""
    assert is_withheld(name)
    assert not is_withheld("OPENAI_API_KEY")


@pytest.mark.parametrize(
    ("name", "may"),
    [
        ("OPENAI_API_KEY", True),
        ("SOME_KEY", True),
        ("CONSUL_HTTP_TOKEN", True),
        ("PROXY_API_ANYTHING", True),
        ("PROXY_API_MASTER_SECRET", False),
        ("LITELLM_MASTER_KEY", False),
        ("HOME", False),
    ],
)
def test_a_variable_says_by_its_name_that_it_may_hold_a_key(name: str, may: bool) -> None:
    """Keys and tokens are read from variables that are called so, but for those withheld."""
    assert may_hold_key(name) is may


def test_a_variable_keeps_what_it_has_replaced() -> None:
    """The node of a variable has its text without blanks, and its namesake in `.env` below it."""
    lower = Variable(Secret("b"), Place(".env", 1, 1, "A"))
    node = build_node(Variable(Secret(" a\n"), Place("environment", variable="A"), lower))
    assert (node.value, node.place.variable) == ("a", "A")
    assert node.replaced is not None
    assert (node.replaced.value, node.replaced.replaced) == ("b", None)
