"""One partition of one output topic in a rebuild: what the rules give that is missing there is appended, nothing else.

What was published stays published. An output that stands there under its id with other bytes, because the rules or
their settings have changed since, is left as it is and named. Of a ticket only its newest state can be missing: an
older one after a newer one would be what a compacted topic keeps.
"""

from __future__ import annotations

from hub.verify.fingerprint import Forms, Output, fingerprint, header_of, name_of
from hub.verify.log import Log
from hub.verify.outputs import FOLDED, Published
from runtime.appending import Item
from streams.casework import STAGE

KEPT = 1000


class Republished:
    """``missing``: to be appended now; ``removed``: what retention took from the topic and the rules give again.

    ``differing`` and ``unasked``: names of what was published and is not what the rules give, the first thousand;
    ``count`` of each.
    """

    def __init__(self, found: Published, forms: Forms, *, compacted: bool = False, is_letters: bool = False) -> None:
        self.missing: list[Item] = []
        self.removed: list[Output] = []
        self.differing: list[str] = []
        self.unasked: list[str] = []
        self.count = {"appended": 0, "differing": 0, "unasked": 0, "removed": 0}
        self._found = found
        self._forms = forms
        self._compacted = compacted
        self._is_letters = is_letters
        self._gone = found.span.begin > 0 and not compacted
        self._unseen: list[Item] = []
        self._newest: dict[bytes, Item] = {}
        self._names: dict[int, bool] | None = None

    def told(self, item: Item) -> None:
        """The rules give ``item``."""
        letter = dict(item.headers).get("id", b"")
        mark = fingerprint(letter + (item.key or b"") if letter else item.key, item.value)
        flags = self._found.seen.get(mark)
        if flags is not None:
            self._gone = False
            self._found.seen[mark] = flags | FOLDED
            self._newest.pop(item.key or b"", None)
        elif self._gone:
            self.count["removed"] += 1
            output = None if self._is_letters else self._forms.read(item.value)
            if output is not None:
                self.removed.append(output)
        elif self._compacted:
            self._newest[item.key or b""] = item
        else:
            self._unseen.append(item)

    async def settle(self, log: Log, *, last: bool = False) -> None:
        """Decide which of the outputs that were not seen are missing; ``last``: the rules have given everything."""
        if last:
            self._unseen += self._newest.values()
            self._newest.clear()
        if self._unseen and self._names is None:
            self._names = await self._published_names(log)
        for item in self._unseen:
            name = self._name(item, dict(item.headers).get("id", b"").decode())
            number = _number(name)
            if self._names is not None and number in self._names:
                self._names[number] = True
                self._note("differing", self.differing, name)
            else:
                self.count["appended"] += 1
                self.missing.append(item)
        self._unseen.clear()
        if last and not all(flags & FOLDED for flags in self._found.seen.values()):
            await self._find_unasked(log)

    def _name(self, item: Item, letter: str) -> str:
        output = None if letter else self._forms.read(item.value)
        return letter if output is None else name_of(output)

    def _note(self, what: str, among: list[str], name: str) -> None:
        self.count[what] += 1
        if len(among) < KEPT:
            among.append(name)

    async def _published_names(self, log: Log) -> dict[int, bool]:
        """The names of everything on the topic, as numbers; False until something with this name differs."""
        found = self._found
        names: dict[int, bool] = {}
        async for records in log.read(found.topic, found.partition, *found.span):
            for record in records:
                if not self._is_letters or header_of(record, "stage") == STAGE:
                    letter = header_of(record, "id") if self._is_letters else ""
                    names[_number(self._name(Item(record.key, record.value), letter))] = False
        return names

    async def _find_unasked(self, log: Log) -> None:
        found = self._found
        async for records in log.read(found.topic, found.partition, *found.span):
            for record in records:
                if self._is_letters and header_of(record, "stage") != STAGE:
                    continue
                letter = header_of(record, "id") if self._is_letters else ""
                key = letter.encode() + (record.key or b"") if letter else record.key
                value = record.value if letter else self._forms.written(record.value)
                name = self._name(Item(record.key, record.value), letter)
                mark = fingerprint(key, value)
                if not found.seen[mark] & FOLDED and not (self._names or {}).get(_number(name), False):
                    found.seen[mark] |= FOLDED
                    self._note("unasked", self.unasked, name)


def _number(name: str) -> int:
    return fingerprint(None, name.encode())
