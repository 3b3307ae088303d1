"""WebSocket frames: whole messages, however they are cut, masked and fragmented; nothing else."""

from __future__ import annotations

from random import Random

import pytest
from aiohttp import WSCloseCode

from novate.api.websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Broken,
    FrameReader,
    closing,
    head,
)

MOST = 70_000


def masked(
    opcode: int, payload: bytes, final: bool = True, mask: bytes = b"\x01\xfe\x37\x80"
) -> bytes:
    """A client's frame, masked byte by byte."""
    plain = bytearray(head(len(payload), opcode))
    plain[0] &= 0xFF if final else 0x7F
    plain[1] |= 0x80
    return bytes(plain) + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))


SIZES = (0, 1, 3, 4, 5, 125, 126, 127, 65_535, 65_536, MOST)


@pytest.mark.parametrize("size", SIZES)
def test_a_message_of_any_size_comes_out_as_it_went_in(size: int) -> None:
    payload = Random(size).randbytes(size)
    assert FrameReader(MOST).feed(masked(BINARY, payload)) == [(BINARY, payload)]


def test_messages_come_out_the_same_however_the_bytes_are_cut() -> None:
    random = Random(3)
    sent = [
        masked(TEXT, "zwei µs".encode()),
        masked(TEXT, b"frag", final=False),
        masked(PING, b"now"),
        masked(CONTINUATION, b"", final=False),
        masked(CONTINUATION, b"ments"),
        masked(PONG, b""),
        masked(BINARY, random.randbytes(300)),
        masked(CLOSE, (1000).to_bytes(2, "big") + b"done"),
    ]
    stream = b"".join(sent)
    whole = FrameReader(MOST).feed(stream)
    assert [opcode for opcode, _ in whole] == [TEXT, PING, TEXT, PONG, BINARY, CLOSE]
    assert whole[2] == (TEXT, b"fragments") and whole[5] == (CLOSE, b"\x03\xe8")
    for _ in range(200):
        reader, found, at = FrameReader(MOST), [], 0
        while at < len(stream):
            upto = at + random.choice((1, 1, 2, 3, 7, 50, 400))
            found += reader.feed(stream[at:upto])
            at = upto
        assert found == whole


BROKEN = {
    "no mask": (head(2) + b"{}", WSCloseCode.PROTOCOL_ERROR),
    "reserved bits": (bytes([0xC1]) + masked(TEXT, b"{}")[1:], WSCloseCode.PROTOCOL_ERROR),
    "an unknown opcode": (masked(3, b""), WSCloseCode.PROTOCOL_ERROR),
    "an unknown control": (masked(11, b""), WSCloseCode.PROTOCOL_ERROR),
    "a ping in fragments": (masked(PING, b"", final=False), WSCloseCode.PROTOCOL_ERROR),
    "a ping of 126 bytes": (masked(PING, bytes(126)), WSCloseCode.PROTOCOL_ERROR),
    "a continuation of nothing": (masked(CONTINUATION, b""), WSCloseCode.PROTOCOL_ERROR),
    "a message within another": (
        masked(TEXT, b"a", final=False) + masked(TEXT, b"b"),
        WSCloseCode.PROTOCOL_ERROR,
    ),
    "half a code to close with": (masked(CLOSE, b"\x03"), WSCloseCode.PROTOCOL_ERROR),
    "a code nobody may send": (masked(CLOSE, b"\x03\xed"), WSCloseCode.PROTOCOL_ERROR),
    "no UTF-8": (masked(TEXT, b"\xff"), WSCloseCode.INVALID_TEXT),
    "no UTF-8 in fragments": (
        masked(TEXT, b"\xc3", final=False) + masked(CONTINUATION, b"x"),
        WSCloseCode.INVALID_TEXT,
    ),
    "too much": (masked(BINARY, bytes(MOST + 1)), WSCloseCode.MESSAGE_TOO_BIG),
    "too much, said and not sent": (
        bytes((0x82, 0xFF)) + (1 << 63).to_bytes(8, "big"),
        WSCloseCode.MESSAGE_TOO_BIG,
    ),
    "too much in fragments": (
        masked(BINARY, bytes(MOST), final=False) + masked(CONTINUATION, b"x"),
        WSCloseCode.MESSAGE_TOO_BIG,
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_the_standard_forbids_ends_the_connection_with_its_code(what: str) -> None:
    data, code = BROKEN[what]
    with pytest.raises(Broken) as caught:
        FrameReader(MOST).feed(data)
    assert caught.value.code == code


def test_a_fragment_split_within_a_letter_is_text() -> None:
    letter = "µ".encode()
    parts = masked(TEXT, letter[:1], final=False) + masked(CONTINUATION, letter[1:])
    assert FrameReader(MOST).feed(parts) == [(TEXT, letter)]


def test_a_reason_to_close_fits_its_frame() -> None:
    frame = closing(WSCloseCode.POLICY_VIOLATION, b"x" * 500)
    assert frame[1] == 125 == len(frame) - 2 and frame[2:4] == (1008).to_bytes(2, "big")
