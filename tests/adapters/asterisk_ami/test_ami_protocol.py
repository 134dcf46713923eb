"""Bytes to messages: whatever the pieces, whatever the version of Asterisk, and never without bounds."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.asterisk_ami.protocol import Message, MessageParser, encode
from domain.errors import Reason
from tests.shared import requires_shared, shared_path

SESSION = (
    b"Asterisk Call Manager/7.0.3\r\n"
    b"Response: Success\r\nActionID: 1\r\nMessage: Authentication accepted\r\n\r\n"
    b"Event: Hangup\nUniqueid: 1.1\nCause-txt: Normal: Clearing\n\n"
    b"\r\n"
    b"Response: Follows\r\nPrivilege: Command\r\nActionID: 2\r\n"
    b"Channel  Location: here\n\n2 calls\n--END COMMAND--\r\n\r\n"
    b"Event: VarSet\r\nChanVariable: a=1\r\nChanVariable: b=2\r\nno colon here\r\nCallerIDName: J\xfcrgen\r\n\r\n"
    b"Event: Cut"
)


def whole(data: bytes) -> list[Message]:
    return MessageParser().feed(data)


def test_blocks_keep_the_order_of_their_fields_and_the_bytes_they_came_as() -> None:
    answer, hangup, output, variables = whole(SESSION)
    assert answer.fields == (("Response", "Success"), ("ActionID", "1"), ("Message", "Authentication accepted"))
    assert hangup.get("cause-TXT") == "Normal: Clearing"
    assert hangup.raw == b"Event: Hangup\nUniqueid: 1.1\nCause-txt: Normal: Clearing\n\n"
    assert output.output == ("Channel  Location: here", "", "2 calls")
    assert output.get("ActionID") == "2"
    assert variables.fields[1:] == (
        ("ChanVariable", "a=1"),
        ("ChanVariable", "b=2"),
        ("", "no colon here"),
        ("CallerIDName", "Jürgen"),
    )


@given(st.lists(st.integers(0, len(SESSION)), max_size=30))
def test_any_cut_into_pieces_gives_the_same_messages(cuts: list[int]) -> None:
    parser, places = MessageParser(), [0, *sorted(cuts), len(SESSION)]
    found = [message for begin, end in pairwise(places) for message in parser.feed(SESSION[begin:end])]
    assert found == whole(SESSION)
    assert parser.banner == "Asterisk Call Manager/7.0.3"
    assert parser.rest == b"Event: Cut"


@given(
    st.lists(
        st.tuples(st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,9}", fullmatch=True), st.text(st.characters(codec="utf-8"))),
        min_size=1,
        max_size=5,
    )
)
def test_what_is_written_is_what_is_read(fields: list[tuple[str, str]]) -> None:
    if any(mark in value for _, value in fields for mark in "\r\n"):
        with pytest.raises(ValueError, match="line break"):
            encode(fields)
        return
    (message,) = whole(encode([("Event", "Any"), *fields]))
    assert message.fields[1:] == tuple((name, value.strip()) for name, value in fields)


@given(st.integers(1, 200))
def test_a_line_without_end_breaks_the_stream_and_keeps_what_came_before(size: int) -> None:
    data = b"Event: A\r\n\r\nEvent: " + b"x" * 100 + b"\r\n\r\nEvent: B\r\n\r\n"
    parser, found = MessageParser(line_limit=50), []
    for begin in range(0, len(data), size):
        found += parser.feed(data[begin : begin + size])
    assert [message.get("Event") for message in found] == ["A"]
    assert parser.broken is not None
    assert parser.broken.reason is Reason.TOO_LARGE
    assert parser.rest.startswith(b"Event: xxx")
    assert parser.feed(b"\r\n\r\nEvent: B\r\n\r\n") == []


def test_a_block_without_end_breaks_the_stream() -> None:
    parser = MessageParser(block_limit=100)
    assert parser.feed(b"Event: A\r\n" + b"Variable: 1\r\n" * 20) == []
    assert parser.broken is not None
    assert parser.broken.reason is Reason.TOO_LARGE


@requires_shared
def test_every_captured_session_is_read_to_its_end() -> None:
    for path in sorted(shared_path("fixtures", "voice", "asterisk-ami-panoramisk").glob("*.ami.txt")):
        data = path.read_bytes()
        messages = whole(data + b"\n\n")
        assert messages, path.name
        # Where the capture has a gap, it says so before the next event, in the same line.
        assert sum(bool(message.get("Event")) for message in messages) == len(re.findall(rb"^Event: ", data, re.M))
        assert whole(data.replace(b"\n", b"\r\n") + b"\r\n\r\n") == [
            Message(message.fields, message.raw.replace(b"\n", b"\r\n"), message.output, message.first)
            for message in messages
        ]
