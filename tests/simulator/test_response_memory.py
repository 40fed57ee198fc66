"""What is kept of responses, and asked for again."""

import pytest

from proxy.domain.service_errors import ResponseNotFound
from proxy.simulator.response_memory import KeptResponse, ResponseMemory
from tests.simulator.asking import status_of
from tests.simulator.native import events_of
from tests.simulator.responses import look_plan, read_answer, response_plan


def test_only_the_newest_are_kept() -> None:
    """The oldest is forgotten; one that comes again is new."""
    memory = ResponseMemory(2)
    for name in "abac":
        memory.keep(KeptResponse({"id": name, "output": []}, []))
    with pytest.raises(ResponseNotFound):
        memory.find("b")
    assert [memory.find(each).response["id"] for each in "ac"] == ["a", "c"]


def test_long_ones_leave_room_for_few() -> None:
    """What is forgotten or deleted gives its room back, and the longest of all is not kept."""
    memory = ResponseMemory(most_bytes=300)

    def keep(name: str, size: int) -> None:
        memory.keep(KeptResponse({"id": name, "output": []}, [{"text": "x" * size}]))

    for name in "abb":
        keep(name, 60)
    memory.delete("a")
    keep("c", 60)
    assert [memory.find(each).response["id"] for each in "bc"] == ["b", "c"]
    keep("d", 1000)
    for each in "bcd":
        with pytest.raises(ResponseNotFound):
            memory.find(each)
    keep("e", 60)
    assert memory.find("e").response["id"] == "e"


@pytest.mark.parametrize("streams", [False, True])
def test_a_request_goes_on_from_an_earlier_response(streams: bool) -> None:
    """What was said there counts as said here; so does an item that is referred to."""
    memory = ResponseMemory()
    plan = response_plan("sim-echo", "Hi", memory=memory, stream=streams)
    first = events_of(plan)[-1]["response"] if streams else read_answer(plan)
    second = read_answer(
        response_plan("sim-echo", "And?", memory=memory, previous_response_id=first["id"])
    )
    assert second["usage"]["input_tokens"] == 1 + 1 + 2
    assert second["previous_response_id"] == first["id"]
    reference = {"type": "item_reference", "id": first["output"][0]["id"]}
    question = {"role": "user", "content": "Again"}
    third = read_answer(response_plan("sim-echo", [reference, question], memory=memory))
    assert third["usage"]["input_tokens"] == 2


def test_a_response_is_shown_listed_and_deleted() -> None:
    """And gone after that."""
    memory = ResponseMemory()
    first = read_answer(response_plan("sim-echo", "Hi", memory=memory))
    second = read_answer(
        response_plan("sim-echo", "And?", memory=memory, previous_response_id=first["id"])
    )
    assert read_answer(look_plan("GET", second["id"], memory)) == second
    page = read_answer(look_plan("GET", f"{second['id']}/input_items?limit=2", memory))
    assert [item["role"] for item in page["data"]] == ["user", "assistant"]
    assert page["has_more"]
    rest = f"{second['id']}/input_items?order=asc&after={page['last_id']}"
    assert len(read_answer(look_plan("GET", rest, memory))["data"]) == 1
    assert status_of(look_plan("GET", f"{second['id']}/input_items?limit=x", memory)) == 400
    assert read_answer(look_plan("DELETE", second["id"], memory))["deleted"]
    for method in ("GET", "DELETE"):
        assert status_of(look_plan(method, second["id"], memory)) == 404
    assert status_of(look_plan("POST", first["id"], memory)) == 405
    assert status_of(look_plan("GET", f"{first['id']}/other", memory)) == 404


def test_what_is_not_stored_is_not_kept() -> None:
    """With `store: false` nobody can ask for it again."""
    memory = ResponseMemory()
    answer = read_answer(response_plan("sim-echo", memory=memory, store=False))
    assert answer["store"] is False
    assert status_of(look_plan("GET", answer["id"], memory)) == 404
