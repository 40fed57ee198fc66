"""Items of a response."""

from proxy.simulator.responses_items import build_call, build_message, name_part

ANSWER = {"id": "chatcmpl-0abc"}


def test_ids_are_those_of_the_answer() -> None:
    """Each with what it is in front; calls are numbered."""
    assert name_part("resp", ANSWER) == "resp_0abc"
    function = {"name": "now", "arguments": "{}"}
    ids = [build_call(ANSWER, number, "c", function)["id"] for number in (0, 1)]
    assert ids == ["fc_0abc00", "fc_0abc01"]


def test_what_is_said_and_what_is_declined_are_parts_of_a_message() -> None:
    """The one has annotations, the other has none."""
    said = build_message(ANSWER, "Hi", is_refusal=False)["content"]
    declined = build_message(ANSWER, "No", is_refusal=True)["content"]
    assert said == [{"type": "output_text", "annotations": [], "logprobs": [], "text": "Hi"}]
    assert declined == [{"type": "refusal", "refusal": "No"}]
