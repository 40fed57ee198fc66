"""The two C programs, built once for all tests of the benchmark."""

import pytest

from bench.toolchain import Tools, build_tools, find_compiler


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    """The mock and the load generator; skips where nothing can build them."""
    if find_compiler() is None:
        pytest.skip("no C compiler: the benchmark's tools cannot be built here")
    return build_tools(tmp_path_factory.mktemp("tools"))
