"""What a kept response weighs in a store that has only so much room."""

from proxy.domain.stored_response import StoredResponse


def test_its_weight_is_that_of_what_is_kept() -> None:
    """A byte more of input or of answer is a byte more of the room; nothing is free."""
    empty = StoredResponse("resp_1", input=b"", body=b"").size_bytes
    assert StoredResponse("resp_1", input=b"[1]", body=b"{}").size_bytes == empty + 5
    assert empty > 0


def test_every_id_takes_room_too() -> None:
    """It is found by each of them."""
    bare = StoredResponse("resp_1").size_bytes
    assert StoredResponse("resp_1", item_ids=("msg_1", "msg_2")).size_bytes > bare + 2 * 200
