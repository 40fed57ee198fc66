"""What was thought before calls, in the memory of one process: the newest of it."""

from collections import OrderedDict

from proxy.domain.chat import Maker
from proxy.domain.reasoning import KeptReasoning

MOST_BYTES = 32 * 1024 * 1024
"""In all, of one process."""

_Key = tuple[str, Maker, str]


class MemoryReasoning:
    """A ReasoningStore (see `base.py`) that forgets what nobody has asked for the longest."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._size_bytes = 0
        self._kept: OrderedDict[_Key, KeptReasoning] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def is_shared(self) -> bool:
        """Nobody else keeps anything."""
        return False

    def keep(self, owner: str, kept: KeptReasoning) -> None:
        """Keep it under each of its calls (see `base.py`)."""
        # Counted for each call, although calls of one turn share it: rather too much than too
        # little, and one key is gone without the others having to be looked for.
        size_bytes = kept.size_bytes
        for call_id in kept.call_ids:
            key = (owner, kept.maker, call_id)
            before = self._kept.pop(key, None)
            if before is not None:
                self._size_bytes -= before.size_bytes
            self._kept[key] = kept
            self._size_bytes += size_bytes
        while self._size_bytes > self._most_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._size_bytes -= oldest.size_bytes

    def find(self, owner: str, maker: Maker, call_id: str) -> KeptReasoning | None:
        """Return what was kept, if it still is (see `base.py`)."""
        key = (owner, maker, call_id)
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
        return kept

    async def fetch(
        self, owner: str, maker: Maker, call_ids: tuple[str, ...]
    ) -> dict[str, KeptReasoning]:
        """Return nothing: nobody else can be asked."""
        return {}
