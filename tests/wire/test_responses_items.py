"""Items of requests of the Responses API: references, history, and what a provider is sent."""

import json
from typing import Any

import pytest
from msgspec import Raw

from proxy.domain.errors import InvalidRequest
from proxy.domain.stored_response import StoredResponse
from proxy.wire.base import Ask
from proxy.wire.responses_items import (
    MOST_VALUES,
    build_passed_fields,
    find_bare_ids,
    find_items,
    find_references,
    list_history,
    read_previous,
    replace_references,
)
from tests.wire.response_events import CALL, MESSAGE, response

HI = {"role": "user", "content": "Hi"}
OURS = {"type": "reasoning", "id": "rs_9", "summary": [], "encrypted_content": "lp1.gemini.x"}
THEIRS = {"type": "reasoning", "id": "rs_8", "summary": [], "encrypted_content": "gAAA"}


def raw(value: Any) -> Raw:
    return Raw(json.dumps(value).encode())


def ask_for(**fields: Any) -> Ask:
    return Ask("responses", "m", {name: raw(value) for name, value in fields.items()})


def passed(ask: Ask) -> dict[str, Any]:
    return {
        name: json.loads(bytes(value)) for name, value in build_passed_fields(ask, "up").items()
    }


STORED = StoredResponse("resp_1", input=raw([HI]), body=raw(response("completed", MESSAGE, CALL)))


def test_the_earlier_response_is_read() -> None:
    """Null is none, and what is no text is refused by its name."""
    assert read_previous(ask_for()) is None
    assert read_previous(ask_for(previous_response_id=None)) is None
    assert read_previous(ask_for(previous_response_id="resp_1")) == "resp_1"
    with pytest.raises(InvalidRequest) as caught:
        read_previous(ask_for(previous_response_id=7))
    assert caught.value.param == "previous_response_id"


def test_references_are_found_however_they_are_written() -> None:
    """By their type, also with escapes in it, or by having neither a type nor a role."""
    ask = ask_for()
    ask.fields["input"] = Raw(
        b'[{"role":"user","content":"item_reference"},{"type":"item\\u005freference","id":"a"},'
        b'{"id":"b"},{"type":null,"id":"c"},{"type":"message","id":"d","role":"user"}]'
    )
    assert find_references(ask) == ["a", "b", "c"]
    assert find_references(ask_for(input="item_reference")) == []
    assert find_references(ask_for()) == []


@pytest.mark.parametrize("items", [["Hi"], [1], [[{}]]])
def test_a_list_of_something_else_is_refused(items: Any) -> None:
    """Nobody can say what it would refer to elsewhere."""
    with pytest.raises(InvalidRequest) as caught:
        find_references(ask_for(input=items))
    assert caught.value.param == "input"


def test_a_list_of_too_many_values_is_not_taken_apart() -> None:
    """Each item would cost a hundred bytes."""
    ask = ask_for()
    ask.fields["input"] = Raw(b"[" + b"{}," * MOST_VALUES + b"{}]")
    with pytest.raises(InvalidRequest) as caught:
        find_references(ask)
    assert caught.value.code == "too_many_values"


@pytest.mark.parametrize(
    "item", [{}, {"content": "Hi"}, {"id": 3}, {"type": "item_reference"}, {"id": ""}]
)
def test_what_lacks_role_type_and_id_is_named(item: Any) -> None:
    """It is no reference to an item that does not exist."""
    with pytest.raises(InvalidRequest) as caught:
        find_references(ask_for(input=[HI, item]))
    assert caught.value.param == "input[1]"


def test_references_become_items() -> None:
    """Those that are known; others stay, and so does everything else."""
    items = find_items(STORED, {"msg_1", "msg_2"})
    assert items.keys() == {"msg_1"}
    other = {"type": "item_reference", "id": "msg_2"}
    ask = ask_for(input=[HI, {"type": "item_reference", "id": "msg_1"}, other])
    replace_references(ask, items)
    assert json.loads(bytes(ask.fields["input"])) == [HI, MESSAGE, other]


def test_history_is_what_led_to_an_answer_and_the_answer() -> None:
    """In this order."""
    assert [json.loads(bytes(item)) for item in list_history(STORED)] == [HI, MESSAGE, CALL]


def test_fields_pass_as_they_came() -> None:
    """Without anything kept here they are the client's own bytes."""
    ask = ask_for(input=[HI, THEIRS], store=True, new={"a": 1})
    assert build_passed_fields(ask, "up") == ask.fields


def test_what_is_kept_by_the_provider_is_its_own_to_find() -> None:
    """Only there the earlier response is asked for by its id."""
    ask = ask_for(input="Hi", previous_response_id="resp_1")
    ask.pinned = "openai"
    assert build_passed_fields(ask, "up") == ask.fields
    ask.pinned = None
    assert passed(ask) == {"input": "Hi"}


@pytest.mark.parametrize("said", ["And?", [{"role": "user", "content": "And?"}]])
def test_history_is_written_out_in_front_of_the_input(said: Any) -> None:
    """Its items lose the ids that only we know, but thoughts of the provider's keep theirs."""
    ask = ask_for(input=said, previous_response_id="resp_1")
    ask.history = (*list_history(STORED), raw(THEIRS))
    without_ids = [{k: v for k, v in item.items() if k != "id"} for item in (HI, MESSAGE, CALL)]
    assert passed(ask) == {"input": [*without_ids, THEIRS, {"role": "user", "content": "And?"}]}


def test_thoughts_of_other_makers_stay_here() -> None:
    """From the history and from the input; what only looks like one does not."""
    quote = {"role": "user", "content": "lp1.gemini.x"}
    ask = ask_for(input=[quote, OURS, THEIRS])
    assert passed(ask) == {"input": [quote, THEIRS]}
    ask.history = (raw(OURS), raw(HI))
    assert passed(ask) == {"input": [HI, quote, THEIRS]}


def test_items_are_bare_whose_id_is_all_that_they_are() -> None:
    """Whatever else stands in them: a provider would look it up for whoever names it."""
    bare = [
        {"type": "reasoning", "id": "a", "summary": []},
        {"type": "reasoning", "id": "b", "role": "user", "call_id": "x", "encrypted_content": ""},
        {"type": "image_generation_call", "id": "c", "result": "iVBO"},
        {"type": "web_search_call", "id": "a"},
        {"type": "whatever", "id": "d"},
    ]
    whole = [
        HI,
        {**HI, "id": "m"},
        MESSAGE,
        CALL,
        THEIRS,
        {"type": "reasoning", "summary": []},
        {"type": "item_reference", "id": "r"},
        {"type": "function_call_output", "id": "o", "call_id": "call_1", "output": ""},
    ]
    assert find_bare_ids(ask_for(input=[*bare, *whole])) == ["a", "b", "c", "d"]
    assert find_bare_ids(ask_for(input="Hi")) == []


def test_bare_items_go_only_to_whom_keeps_them_for_the_caller() -> None:
    """Without one of them, what came with it loses the id that binds them; else nothing changes."""
    mine = {"type": "reasoning", "id": "rs_1", "summary": []}
    other = {"type": "reasoning", "id": "rs_2", "summary": []}
    reference = {"type": "item_reference", "id": "msg_0"}
    ask = ask_for(input=[HI, reference, mine, CALL])
    ask.keepers = {"rs_1": "up"}
    assert build_passed_fields(ask, "up") == ask.fields
    ask.fields["input"] = raw([HI, reference, mine, other, CALL])
    call = {name: value for name, value in CALL.items() if name != "id"}
    ask.keepers["rs_2"] = None
    assert passed(ask) == {"input": [HI, reference, mine, call]}
    ask.keepers["rs_2"] = "another"
    assert passed(ask) == {"input": [HI, reference, mine, call]}
    ask = ask_for(input="And?")
    ask.history = (raw(other), raw(HI))
    assert passed(ask) == {"input": [HI, {"role": "user", "content": "And?"}]}
