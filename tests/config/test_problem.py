"""What problems look like when they are printed."""

import pytest

from proxy.config.problem import ConfigError, Place, Problem, show_name, suggest


def test_problem_in_a_file_names_line_and_column() -> None:
    """A problem of a file is one line `file:line:column: what: how to mend`."""
    problem = Problem(Place("config.yaml", 3, 5), "this is wrong", "mend it")
    assert str(problem) == "config.yaml:3:5: this is wrong: mend it"


def test_problem_of_a_variable_names_it() -> None:
    """A problem of a variable says whether it stands in the environment or in a file."""
    real = Place("environment", variable="PROXY_API_PORT")
    from_file = Place(".env", 2, 1, "PROXY_API_PORT")
    assert str(Problem(real, "a", "b")) == "environment: PROXY_API_PORT: a: b"
    assert str(Problem(from_file, "a", "b")) == ".env:2:1: PROXY_API_PORT: a: b"


def test_error_prints_all_its_problems() -> None:
    """A ConfigError prints one line for each of its problems, in their order."""
    problems = [Problem(Place("f", n, 1), "what", "mend") for n in (1, 2)]
    error = ConfigError(iter(problems))
    assert error.problems == tuple(problems)
    assert str(error) == "f:1:1: what: mend\nf:2:1: what: mend"


@pytest.mark.parametrize("name", ["timeout", "modles", "PROXY_API_PROVIDERS__OPENAI_DEFAULT__X"])
def test_ordinary_names_are_shown(name: str) -> None:
    """The name of a mistyped key is shown."""
    assert show_name(name) == f"'{name}'"


@pytest.mark.parametrize(
    "name", ["sk-proj-abc", "xai-1", "a b", "x\ny", "", "A1b2" * 8, "sk_live_1", "ä"]
)
def test_names_that_look_like_keys_are_not_shown(name: str) -> None:
    """A name that may be an API key, or that could forge a line of output, is not repeated."""
    assert show_name(name) == "(name not shown)"


def test_suggestion_is_the_nearest_known_name() -> None:
    """A slip of the pen finds the known name, also in other case; nonsense finds none."""
    known = ["models", "timeout", "PROXY_API_PORT"]
    assert suggest("modles", known) == "models"
    assert suggest("proxy_api_prot", known) == "PROXY_API_PORT"
    assert suggest("zzz", known) is None
