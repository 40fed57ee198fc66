"""One answer of the Responses API that a later request may go on from, or ask for again."""

from msgspec import Struct


class StoredResponse(Struct, frozen=True):
    """
    What is kept under the id of a response, for one organization and for a limited time.

    Either all of it is here, or it is kept by the provider that has made it, whom clients of the
    same id are then led to.
    """

    id: str
    provider: str | None = None
    """Who keeps it; None: it is here."""
    model: str = ""
    """The alias that was asked for: whoever may not ask for it may not read this either."""
    input: bytes = b"[]"
    """A JSON array of the items that led to it, those of earlier responses first."""
    body: bytes = b"{}"
    """The response object, as its client got it."""
    item_ids: tuple[str, ...] = ()
    """Of the items of its output: it is found by them, too, since a request may refer to them."""

    @property
    def size_bytes(self) -> int:
        """What it takes of the room there is."""
        ids_bytes = sum([len(each) + 256 for each in self.item_ids])
        return len(self.input) + len(self.body) + ids_bytes + 256
