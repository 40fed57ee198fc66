"""Tests of how the machine is described."""

import platform

from bench.cores import Cores
from bench.machine import describe_machine, name_build, parse_cpu_model, read_versions


def test_the_processor_is_found_by_its_name() -> None:
    """The first model name of /proc/cpuinfo is the processor."""
    text = "processor\t: 0\nmodel name\t: A Fast One\n\nprocessor\t: 1\nmodel name\t: Another\n"
    assert parse_cpu_model(text) == "A Fast One"


def test_a_processor_without_a_name_is_its_architecture() -> None:
    """Where /proc/cpuinfo names no model, the architecture has to do."""
    assert platform.machine() == parse_cpu_model("processor\t: 0\n")


def test_the_interpreter_is_named_with_what_makes_it_fast_or_slow() -> None:
    """Options of `configure` that cost or save speed are told, paths and all others are not."""
    arguments = "'--prefix=/somewhere' '--with-lto=full' '--enable-shared' 'CC=gcc -O2'"
    assert name_build(arguments) == "configured with --with-lto --enable-shared"
    assert name_build("") == "configured with no option that tells"


def test_what_is_not_installed_has_no_version() -> None:
    """Only installed distributions are listed."""
    assert list(read_versions(["aiohttp", "no-such-distribution"])) == ["aiohttp"]


def test_a_description_does_not_name_the_machine() -> None:
    """Nothing in the description holds the host's name."""
    described = describe_machine(Cores((0,), (1,)))
    assert described.are_cores_apart
    assert platform.node() not in str(described)
