"""What a model has thought before it called tools, kept for clients that do not send it back."""

from msgspec import Struct

from proxy.domain.chat import Maker, Thought


class KeptReasoning(Struct, frozen=True):
    """
    The thoughts of one turn, and what its calls were signed with.

    Some makers refuse a conversation in which a call comes back without what led to it.
    """

    maker: Maker
    thoughts: tuple[Thought, ...] = ()
    signatures: dict[str, str] = {}
    """By the ids of calls that have one."""
    call_ids: tuple[str, ...] = ()
    """Of all calls of the turn, which it is found by."""

    @property
    def size_bytes(self) -> int:
        """What it takes to keep, at most."""
        texts = sum(_size(each.text) + _size(each.signature or "") for each in self.thoughts)
        extras = sum(len(memoryview(each.extra)) for each in self.thoughts if each.extra)
        signed = sum(_size(each) for each in self.signatures.values())
        ids = sum(50 + _size(each) for each in self.call_ids)
        return 200 + texts + extras + signed + ids


def _size(text: str) -> int:
    # One character that is not of ASCII can make all of a text's take four bytes each.
    return len(text) if text.isascii() else 4 * len(text)
