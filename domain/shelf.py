"""The customers of a partition, each kept as its bytes and taken down only while something happens to it.

A million open customers as objects would be a dozen gigabytes that the garbage collector walks and that miss the
processor's caches; as bytes they are the changelog's own values (figures in ``bench/README.md``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping

from schemas.casework_state import CustomerState, pack, unpack


class Shelf(MutableMapping[str, CustomerState]):
    """Customer id to state. A state that was taken down may be changed in place until ``put_back`` is called."""

    def __init__(self) -> None:
        self._packed: dict[str, bytes] = {}
        self._down: dict[str, CustomerState] = {}

    def __getitem__(self, customer: str) -> CustomerState:
        found = self._down.get(customer)
        if found is None:
            found = self._down[customer] = unpack(self._packed[customer])
        return found

    def __setitem__(self, customer: str, state: CustomerState) -> None:
        self._down[customer] = state
        self._packed.setdefault(customer, b"")

    def __delitem__(self, customer: str) -> None:
        self._down.pop(customer, None)
        del self._packed[customer]

    def __contains__(self, customer: object) -> bool:
        return customer in self._packed

    def __iter__(self) -> Iterator[str]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)

    def take(self, packed: Mapping[str, bytes]) -> None:
        """Put states on the shelf as the bytes they are."""
        for customer in self._down.keys() & packed.keys():
            del self._down[customer]
        self._packed.update(packed)

    def put_back(self, changed: Iterable[str]) -> list[tuple[str, bytes | None]]:
        """Put back what was taken down; the bytes of each of ``changed``, None for one that is not held any more."""
        packed: list[tuple[str, bytes | None]] = []
        for customer in changed:
            state = self._down.get(customer)
            if state is None:
                packed.append((customer, None))
            else:
                self._packed[customer] = data = pack(state)
                packed.append((customer, data))
        self._down.clear()
        return packed
