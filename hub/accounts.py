"""Reads the file of channel accounts: YAML with one list of accounts under the name of each adapter.

::

    whatsapp:
      - name: main                # in the address: /v1/channels/whatsapp/main, and in the events' source
        tenant: default
        secret: …                 # what the sender signs with
        verify_token: …
        region: DE                # completes phone numbers without a country code
        organisation: own
        team: …
        options: {}
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

import msgspec
import yaml

from adapters.contract import Account

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_FIELDS = tuple(field.name for field in msgspec.structs.fields(Account))


class AccountsInvalid(Exception):
    """A file of accounts that can't be used: says which place of it, and what it takes. Never shows a secret."""

    def __init__(self, file: Path, where: str, detail: str) -> None:
        super().__init__(f"{file}: {where}: {detail}" if where else f"{file}: {detail}")
        self.where = where


def load(file: str, known: Collection[str]) -> dict[str, list[Account]]:
    """Accounts by adapter name; none for an empty ``file``. ``known``: the adapters' names.

    Raises ``AccountsInvalid`` for a file that can't be read or an account that can't be used.
    """
    if not file:
        return {}
    path = Path(file)
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AccountsInvalid(path, "", f"HUB_ACCOUNTS names a file that can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise AccountsInvalid(path, f"byte {error.start}", "the file is not UTF-8") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise AccountsInvalid(path, where, f"not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise AccountsInvalid(path, "", f"not YAML: {error}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise AccountsInvalid(path, "", "the file is a map of adapter names to lists of accounts")
    return {str(name): _accounts(path, str(name), many, known) for name, many in tree.items()}


def _accounts(path: Path, adapter: str, many: object, known: Collection[str]) -> list[Account]:
    if adapter not in known:
        raise AccountsInvalid(path, adapter, f"there is no such adapter; there are {', '.join(sorted(known))}")
    if not isinstance(many, list):
        raise AccountsInvalid(path, adapter, "the accounts of an adapter are a list")
    accounts: dict[str, Account] = {}
    for index, one in enumerate(many):
        account = _account(path, f"{adapter}[{index}]", one)
        if account.name in accounts:
            detail = f"the name {account.name!r} stands twice; each account of an adapter has its own"
            raise AccountsInvalid(path, f"{adapter}[{index}].name", detail)
        accounts[account.name] = account
    return list(accounts.values())


def _account(path: Path, where: str, one: object) -> Account:
    if not isinstance(one, dict):
        raise AccountsInvalid(path, where, f"an account is a map with {', '.join(_FIELDS)}")
    for key in one:
        if key not in _FIELDS:
            raise AccountsInvalid(path, f"{where}.{key}", f"unknown; an account has {', '.join(_FIELDS)}")
    try:
        account = msgspec.convert(one, Account)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$")
        raise AccountsInvalid(
            path, where + place.rstrip("`"), f"{what} (quote numbers that are meant as text)"
        ) from error
    if not _NAME.fullmatch(account.name):
        detail = "a name has letters, digits, dots, dashes and underscores: it stands in an address"
        raise AccountsInvalid(path, f"{where}.name", detail)
    if not account.tenant:
        raise AccountsInvalid(path, f"{where}.tenant", "say whose data the account brings")
    if account.region is not None and not re.fullmatch(r"[A-Z]{2}", account.region):
        detail = "a region is two capital letters (ISO 3166), as DE; quote NO, which YAML reads as a word for false"
        raise AccountsInvalid(path, f"{where}.region", detail)
    return account
