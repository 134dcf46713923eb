"""The file of channel accounts: read as meant, or refused with the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.contract import Account
from hub.accounts import AccountsInvalid, load

KNOWN = ("whatsapp", "amazon-connect")


def written(folder: Path, text: str | bytes) -> str:
    file = folder / "accounts.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(file)


def test_accounts_by_adapter(tmp_path: Path) -> None:
    text = """
whatsapp:
  - {name: main, tenant: default, secret: s, verify_token: v, region: DE, options: {a: b}}
  - {name: second, tenant: default, organisation: vendor-a, team: care}
amazon-connect: []
"""
    assert load(written(tmp_path, text), KNOWN) == {
        "whatsapp": [
            Account(tenant="default", name="main", secret="s", verify_token="v", region="DE", options={"a": "b"}),
            Account(tenant="default", name="second", organisation="vendor-a", team="care"),
        ],
        "amazon-connect": [],
    }


def test_no_file_and_an_empty_one_are_no_accounts(tmp_path: Path) -> None:
    assert load("", KNOWN) == load(written(tmp_path, "# none yet\n"), KNOWN) == {}


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("[]", "", "map of adapter names"),
        ("pigeon: []", "pigeon", "amazon-connect, whatsapp"),
        ("whatsapp: {}", "whatsapp", "a list"),
        ("whatsapp: [main]", "whatsapp[0]", "a map with tenant, name"),
        ("whatsapp: [{name: a}]", "whatsapp[0]", "tenant"),
        ("whatsapp: [{name: a, tenant: t, sceret: x}]", "whatsapp[0].sceret", "unknown"),
        ("whatsapp: [{name: a, tenant: t, secret: 123}]", "whatsapp[0].secret", "quote numbers"),
        ("whatsapp: [{name: a, tenant: t, options: {x: 1}}]", "whatsapp[0].options[...]", "quote numbers"),
        ("whatsapp: [{name: a/b, tenant: t}]", "whatsapp[0].name", "letters"),
        ("whatsapp: [{name: a, tenant: ''}]", "whatsapp[0].tenant", "whose data"),
        ("whatsapp: [{name: a, tenant: t}, {name: a, tenant: t}]", "whatsapp[1].name", "twice"),
        ("whatsapp: [{name: a, tenant: t, region: de}]", "whatsapp[0].region", "ISO 3166"),
        ("whatsapp: [{name: a, tenant: t, region: NO}]", "whatsapp[0].region", "quote"),
        ("whatsapp:\n  - {name: a\n", "line 3, column 1", "not YAML"),
        (b"\xff\xfe", "byte 0", "UTF-8"),
    ],
)
def test_a_file_that_cannot_be_used_says_where(tmp_path: Path, text: str | bytes, where: str, words: str) -> None:
    with pytest.raises(AccountsInvalid) as caught:
        load(written(tmp_path, text), KNOWN)
    assert caught.value.where == where
    assert words in str(caught.value)


def test_a_missing_file_says_which_setting(tmp_path: Path) -> None:
    with pytest.raises(AccountsInvalid, match=r"absent\.yaml.*HUB_ACCOUNTS"):
        load(str(tmp_path / "absent.yaml"), KNOWN)
