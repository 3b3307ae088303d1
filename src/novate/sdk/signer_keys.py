"""Keys of the local signer: which id and secret may use which signing key, read from a TOML file.

Owns: the file's format and Deribit's way of proving that one knows a secret (HMAC-SHA256 over time,
nonce and request). A proof counts once and near its time; comparisons take the same time whatever
they find. Times in unix milliseconds.
"""

from __future__ import annotations

import base64
import hmac
import tomllib
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

from novate.sdk.signing import SigningKey

SECRET_CHARACTERS_MIN = 16
SKEW_MS = 60_000
FIELDS = {"id", "secret", "private_key_file", "account", "scope"}


class KeyFault(Exception):
    """A key file or a proof is not right."""


@dataclass(frozen=True, slots=True)
class SignerKey:
    """One id with its secret, and what it signs with."""

    id: str
    secret: str
    key: SigningKey
    scope: str = "read trade"


@dataclass(slots=True)
class Keyring:
    """All keys by id, and the proofs already used."""

    keys: dict[str, SignerKey]
    used: OrderedDict[str, int] = field(default_factory=OrderedDict)

    def by_secret(self, client_id: str, secret: str) -> SignerKey:
        """The key of an id whose secret is shown. Errors: ``KeyFault``."""
        found = self.keys.get(client_id)
        expected = found.secret if found else ""
        if not hmac.compare_digest(expected.encode(), secret.encode()) or found is None:
            raise KeyFault("unknown client_id, or another client_secret")
        return found

    def by_basic(self, header: str) -> SignerKey:
        """The key of an ``Authorization: Basic`` header. Errors: ``KeyFault``."""
        scheme, _, rest = header.partition(" ")
        try:
            login = base64.b64decode(rest.strip(), validate=True).decode()
        except ValueError:
            login = ""
        client_id, colon, secret = login.partition(":")
        if scheme.lower() != "basic" or not colon:
            raise KeyFault("Authorization must be Basic, of client_id:client_secret")
        return self.by_secret(client_id, secret)

    def by_header(self, header: str, method: str, path: str, body: str, now_ms: int) -> SignerKey:
        """The key that made an ``Authorization: deri-hmac-sha256`` header. Errors: ``KeyFault``."""
        scheme, _, rest = header.partition(" ")
        parts = dict(part.split("=", 1) for part in rest.split(",") if "=" in part)
        if scheme != "deri-hmac-sha256" or not {"id", "ts", "sig", "nonce"} <= set(parts):
            raise KeyFault("Authorization must be deri-hmac-sha256 id=…,ts=…,sig=…,nonce=…")
        text = f"{parts['ts']}\n{parts['nonce']}\n{method}\n{path}\n{body}\n"
        return self.by_proof(parts["id"], parts["ts"], parts["nonce"], text, parts["sig"], now_ms)

    def by_proof(
        self, client_id: str, stamp: str, nonce: str, text: str, proof: str, now_ms: int
    ) -> SignerKey:
        """The key whose secret made ``proof`` over ``text``. Errors: ``KeyFault``."""
        found = self.keys.get(client_id)
        expected = hmac.new((found.secret if found else "").encode(), text.encode(), "sha256")
        right = hmac.compare_digest(expected.hexdigest(), proof.lower())
        if found is None or not right:
            raise KeyFault("unknown id, or a signature by another secret")
        if not stamp.isdecimal() or abs(int(stamp) - now_ms) > SKEW_MS:
            raise KeyFault(f"ts must be within a minute of {now_ms}")
        seen = f"{client_id}\n{stamp}\n{nonce}\n{proof}"
        if seen in self.used:
            raise KeyFault("this request was sent before")
        self.used[seen] = now_ms
        while next(iter(self.used.values())) < now_ms - 2 * SKEW_MS:
            self.used.popitem(last=False)
        return found


def load(path: Path) -> Keyring:
    """Read ``[[key]]`` tables. Errors: ``KeyFault``, naming the field and what it must be."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise KeyFault(f"{path}: {error}") from None
    keys: dict[str, SignerKey] = {}
    for number, table in enumerate(document.get("key", []), 1):
        found = _key(path, number, table)
        if found.id in keys:
            raise KeyFault(f"{path}: key {number}: id {found.id!r} is there twice")
        keys[found.id] = found
    if not keys:
        raise KeyFault(f"{path}: there is no [[key]] table")
    return Keyring(keys)


def _key(path: Path, number: int, table: dict[str, object]) -> SignerKey:
    where = f"{path}: key {number}"
    if unknown := set(table) - FIELDS:
        raise KeyFault(f"{where}: unknown field {sorted(unknown)[0]}")
    texts = {name: table.get(name, "") for name in FIELDS}
    for name, value in texts.items():
        if not isinstance(value, str):
            raise KeyFault(f"{where}: {name} must be text")
    client_id, secret, account = (str(texts[name]) for name in ("id", "secret", "account"))
    if not client_id or "," in client_id or "=" in client_id:
        raise KeyFault(f"{where}: id must be some text without a comma or an equals sign")
    if len(secret) < SECRET_CHARACTERS_MIN:
        raise KeyFault(f"{where}: secret must have {SECRET_CHARACTERS_MIN} characters at least")
    file = path.parent / str(texts["private_key_file"])
    try:
        held = file.read_text(encoding="utf-8").strip()
        whole = int(account, 16) if account else None
        key = SigningKey(held, whole)
    except (OSError, ValueError) as error:
        raise KeyFault(f"{where}: private_key_file or account: {error}") from None
    return SignerKey(client_id, secret, key, str(texts["scope"]) or "read trade")
