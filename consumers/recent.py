"""The ids of a partition's last records, by which a repeated delivery is known.

They are kept in pieces by their offsets, and the oldest piece is dropped whole. One dict from which the oldest id is
deleted as each new one comes searches its own holes for the next oldest, and is doubled when they have filled it. No
more than the last ids are held: what came before them is forgotten.
"""

from __future__ import annotations

_PIECES = 8


class Recent:
    """Ids and their offsets, of at least the last ``span`` offsets and at most an eighth more. Offsets only rise."""

    def __init__(self, span: int) -> None:
        self._each = -(-span // _PIECES)
        self._pieces: dict[int, dict[bytes, int]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._pieces.values()))

    def last(self, key: bytes) -> int | None:
        """The highest offset at which an id stood; None for one that is not remembered."""
        for piece in reversed(self._pieces.values()):
            if key in piece:
                return piece[key]
        return None

    def add(self, key: bytes, offset: int) -> None:
        """Remember that an id stands at an offset."""
        piece = self._pieces.get(offset // self._each)
        if piece is None:
            piece = self._pieces[offset // self._each] = {}
        piece[key] = offset

    def forget(self, before: int) -> None:
        """Drop the pieces that have nothing from the offset ``before`` on."""
        for number in [each for each in self._pieces if (each + 1) * self._each <= before]:
            del self._pieces[number]
