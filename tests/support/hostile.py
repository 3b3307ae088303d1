"""Messages no client of good will would send: seeded, endless, made from the methods' own types."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import msgspec

from novate.api import rpc

# Fragments of JSON and of what is none, put where a value belongs.
VALUES = (
    *("null", "true", "false", "0", "-0", "-0.0", "1", "-1", "0.1", "1e400", "-1e400", "1e-400"),
    *("NaN", "Infinity", "-Infinity", "01", "+1", ".5", "1.", "0x10", "1_000", "9" * 400),
    *("2147483648", "4294967296", "9007199254740993", "18446744073709551616", str(2**256)),
    *('""', '"0"', '"-0"', '"-0.00"', '"1e5"', '"NaN"', '"inf"', '"1,5"', '" 1 "', '"٣"', '"½"'),
    *('"0.5"', '"100000"', '"1000000000000000000000000000000000000000"', '"0.0000000000000000001"'),
    *(
        '"😀😀😀"',
        '"\\ud800"',
        '"\\u0000"',
        '"\u202e\u200b"',
        '"\\"',
        '"',
        "'a'",
        '"' + "a" * 300 + '"',
    ),
    *("[]", "{}", "[[]]", '[""]', "[null]", '{"":null}', '{"a":{"b":[1,2,{"c":null}]}}', "[" * 90),
    *(
        '"any"',
        '"BTC"',
        '"BTC-PERPETUAL"',
        '"BTC-PERPETUAL\\n"',
        '"btc-perpetual"',
        '"ETH-PERPETUAL"',
    ),
    *(
        '"0x"',
        '"0x' + "0" * 64 + '"',
        '"0x' + "f" * 64 + '"',
        '"0x' + "g" * 64 + '"',
        '"0x' + "0" * 128 + '"',
    ),
    *('"0x' + "f" * 128 + '"', '"0X' + "1" * 64 + '"', '"\\n' + "1" * 65 + '"'),
    *('"asc"', '"limit"', '"read trade"', '"withdraw"', '"signature"', '"refresh_token"', '"1D"'),
    *('["book.BTC-PERPETUAL.raw"]', '["user.orders.any.raw"]', '["price_index.btc_usdc"]'),
    *('["price_index.' + "x" * 500 + '"]', '["book..raw"]', '["."]', '["platform_state"]'),
    *('["book.BTC-PERPETUAL.raw\\u0000"]', '{"BTC-PERPETUAL":"1"}', '{"BTC-PERPETUAL":"-0"}'),
    *('{"BTC-PERPETUAL":"99999999999999999999999999"}', '{"nobody":1}', "1700000000000", "-1e5"),
)


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, UnicodeError):
        return False
    return True


JSON_VALUES = tuple(text for text in VALUES if _is_json(text))
NOISE = (
    *(b"", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf{}", b"[]", b"{}", b"null", b"1", b'"x"', b"{"),
    *(b"[" * 2000, b'{"a":' * 900, b'{"jsonrpc":"1.0","method":"public/test"}', b"[{},{}]"),
    *(b'{"method":5}', b'{"method":"public/test","id":[1]}', b'{"method":"public/test","id":1.5}'),
    *(b'{"method":"public/test","params":[1,2]}', b'{"method":"public/test","params":"x"}'),
    b'{"method":"public/test","id":' + b"9" * 60 + b"}",
    b'{"method":"public/test","id":' + b"9" * 6000 + b"}",
    b'{"method":"public/test","id":"' + b"x" * 65 + b'"}',
    b'{"method":"public/test","id":"\xc3\x28"}',
    b'{"method":"public/test","method":"public/hello","id":1,"id":2}',
    b'{"method":"' + b"x" * 60_000 + b'"}',
    b'{"jsonrpc":"2.0","method":"public/test","params":{"expected_result":"'
    + b"\xed\xa0\x80"
    + b'"}}',
)


class Hostile:
    """One seeded stream; ``good`` gives parameters that a method would take."""

    def __init__(self, seed: int, good: dict[str, dict[str, Any]]) -> None:
        self.random = Random(seed)
        self.good = good
        money = ["private/buy", "private/sell", "public/auth", "public/subscribe"]
        self.methods = sorted(rpc.METHODS) + money * 5

    def messages(self, count: int) -> Iterator[bytes]:
        """So many messages."""
        for _ in range(count):
            yield self.message()

    def message(self) -> bytes:
        """Noise, a broken frame of a request, or a request with something wrong in it."""
        kind = self.random.random()
        if kind < 0.08:
            return self.random.choice(NOISE)
        if kind < 0.12:
            return self.random.randbytes(self.random.randrange(1, 200))
        data = self.request()
        if kind < 0.2:
            return data[: self.random.randrange(len(data))]
        if kind < 0.28:
            place = self.random.randrange(len(data))
            return data[:place] + self.random.randbytes(1) + data[place + 1 :]
        return data

    def request(self) -> bytes:
        """A request whose parameters are wrong in one place or more."""
        name = self.random.choice(self.methods)
        members = self.parameters(name)
        text = ",".join(f"{json.dumps(key)}:{value}" for key, value in members)
        number = self.random.choice(("1", '"a"', "null", "-5"))
        head = f'{{"jsonrpc":"2.0","id":{number},"method":{json.dumps(name)},"params":{{{text}}}}}'
        return head.encode("utf-8", "surrogatepass")

    def parameters(self, name: str) -> list[tuple[str, str]]:
        """Members as JSON text: some good, some hostile, some missing, doubled or unknown."""
        good = self.good.get(name, {})
        members: list[tuple[str, str]] = []
        for part in msgspec.structs.fields(rpc.METHODS[name].parameters):
            chance = self.random.random()
            if part.encode_name in good and chance < 0.97:
                members.append((part.encode_name, json.dumps(good[part.encode_name])))
            elif chance < 0.2 or (part.required and chance < 0.95):
                members.append((part.encode_name, self.value()))
        if members and self.random.random() < 0.7:
            place = self.random.randrange(len(members))
            members[place] = (members[place][0], self.value())
        if self.random.random() < 0.05:
            members.append((self.random.choice(("", "x", "__proto__", "id")), "1"))
        if members and self.random.random() < 0.05:
            members.append(self.random.choice(members))
        return members

    def value(self) -> str:
        """A value, seldom one that is no JSON at all."""
        return self.random.choice(VALUES if self.random.random() < 0.1 else JSON_VALUES)

    def query(self) -> tuple[str, dict[str, str]]:
        """A method and the text of a query string."""
        name = self.random.choice([m for m in self.methods if m.startswith("public/")])
        return name, {key: value.strip('"') for key, value in self.parameters(name)}
