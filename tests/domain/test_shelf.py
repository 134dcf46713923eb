"""The shelf that customers lie on: what was changed while it was down comes back changed, and nothing else does."""

from __future__ import annotations

import pytest

from domain.shelf import Shelf
from schemas.casework_state import CustomerState, pack


def test_what_was_changed_is_put_back_as_bytes_and_comes_down_as_it_was() -> None:
    shelf = Shelf()
    shelf["a"] = CustomerState(tenant="default", sequence=1)
    shelf["a"].sequence = 2
    assert shelf.put_back(["a"]) == [("a", pack(CustomerState(tenant="default", sequence=2)))]
    assert shelf["a"].sequence == 2


def test_a_change_that_nobody_names_is_not_kept() -> None:
    shelf = Shelf()
    shelf.take({"a": pack(CustomerState(tenant="default", sequence=1))})
    shelf["a"].sequence = 9
    assert shelf.put_back([]) == []
    assert shelf["a"].sequence == 1


def test_one_that_left_is_told_as_none_and_is_not_found() -> None:
    shelf = Shelf()
    shelf.take({"a": pack(CustomerState(tenant="default"))})
    assert "a" in shelf
    del shelf["a"]
    assert shelf.put_back(["a"]) == [("a", None)]
    assert "a" not in shelf
    assert shelf.get("a") is None
    with pytest.raises(KeyError):
        shelf["a"]


def test_bytes_that_are_taken_count_more_than_what_is_down() -> None:
    shelf = Shelf()
    shelf["a"] = CustomerState(tenant="default", sequence=1)
    shelf.take({"a": pack(CustomerState(tenant="default", sequence=7))})
    assert (shelf["a"].sequence, list(shelf), len(shelf)) == (7, ["a"], 1)
