"""The shapes of requests to the Responses API."""

import msgspec
import pytest

from proxy.simulator.responses_shapes import CountAsked, ResponseAsked


@pytest.mark.parametrize("kind", [ResponseAsked, CountAsked])
def test_fields_that_do_not_exist_are_refused(kind: type[ResponseAsked | CountAsked]) -> None:
    """So that what is meant for a proxy alone is noticed if it gets here."""
    assert msgspec.json.decode(b'{"model":"m","input":"Hi"}', type=kind).model == "m"
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"model":"m","input":"Hi","messages":[]}', type=kind)
