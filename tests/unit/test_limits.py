"""Every limit is the same number in the contracts, wherever one of them repeats it."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from novate import limits
from novate.chain.compile import CONTRACTS

# limit -> the contracts' name for it, and the file that must have it
TWINS = {
    "ACCOUNTS_PER_BATCH_MAX": ("ACCOUNTS_MAX", "Exchange.vy"),
    "INSTRUMENTS_PER_BATCH_MAX": ("INSTRUMENTS_MAX", "Exchange.vy"),
    "TRADES_PER_BATCH_MAX": ("TRADES_MAX", "novation.vy"),
    "ORDERS_PER_BATCH_MAX": ("ORDERS_MAX", "Exchange.vy"),
    "FILLS_PER_BATCH_MAX": ("FILLS_MAX", "Exchange.vy"),
    "RECEIPTS_PER_BATCH_MAX": ("RECEIPTS_MAX", "receipt.vy"),
    "ROUND_CALL_BYTES_MAX": ("ROUND_CALL_BYTES_MAX", "Exchange.vy"),
    "POSITIONS_PER_ACCOUNT_MAX": ("POSITIONS_MAX", "lib/positions.vy"),
    "POSITION_WORDS_MAX": ("WORDS_MAX", "lib/positions.vy"),
    "UNDERLYINGS_MAX": ("UNDERLYINGS_MAX", "RiskModel.vy"),
    "PERPS_MAX": ("PERPS_MAX", "markets.vy"),
    "FEEDS_MAX": ("FEEDS_MAX", "oracle_feed.vy"),
    "OBSERVATIONS_PER_ROUND_MAX": ("OBSERVATIONS_MAX", "Oracle.vy"),
    "ORACLE_NODES_MAX": ("NODES_MAX", "Oracle.vy"),
    "SIGNATURES_PER_ROUND_MAX": ("SIGNATURES_MAX", "Oracle.vy"),
    "LOTS_MAX": ("LOTS_MAX", "lib/positions.vy"),
    "INSTRUMENT_ID_MAX": ("MASK_20", "custody_sheet.vy"),
    "SIGNATURE_BLOB_BYTES_MAX": ("BLOB_BYTES_MAX", "wallet.vy"),
    "SIGNATURE_BLOBS_PER_BATCH_MAX": ("BLOBS_MAX", "Exchange.vy"),
    "CONTRACT_WALLET_GAS_MAX": ("GAS_MAX", "wallet.vy"),
    "AVERAGE_WINDOW_S": ("AVERAGE_WINDOW_S", "oracle_feed.vy"),
    "STALE_WIDENING_PPM_MAX": ("STALE_WIDENING_PPM_MAX", "rows.vy"),
}
# the chain's own bound, then the engine's
NO_TWIN = {
    "BLOCK_LEGS_MAX",
    "CONTRACT_SIZE_BYTES_MAX",
    "EARLIER_EXPIRY_ROOM_S",
    "EXPIRY_ROOM_S",
    "ORDERS_WAITING_MAX",
}
_CONSTANT = re.compile(
    r"^(\w+): (?:public\()?constant\(u?int\d+\)\)? = (\d[\d_*+\- ]*)(?:#.*)?$", re.MULTILINE
)


def value(text: str) -> int:
    """The integer of a constant's expression: numbers, powers, sums and differences."""

    def of(node: ast.AST) -> int:
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            return node.value
        assert isinstance(node, ast.BinOp), ast.dump(node)
        left, right = of(node.left), of(node.right)
        match node.op:
            case ast.Pow():
                return int(left**right)
            case ast.Mult():
                return left * right
            case ast.Add():
                return left + right
            case _:
                assert isinstance(node.op, ast.Sub)
                return left - right

    return of(ast.parse(text.strip(), mode="eval").body)


@cache
def found() -> dict[str, dict[str, int]]:
    """Every integer constant of the contracts: name -> file -> value."""
    constants: dict[str, dict[str, int]] = {}
    for path in sorted(CONTRACTS.rglob("*.vy")):
        for name, text in _CONSTANT.findall(path.read_text()):
            constants.setdefault(name, {})[str(path.relative_to(CONTRACTS))] = value(text)
    return constants


def test_every_limit_has_its_twin() -> None:
    named = {name for name, number in vars(limits).items() if isinstance(number, int)}
    assert named == set(TWINS) | NO_TWIN


@pytest.mark.parametrize("name", TWINS)
def test_the_contracts_have_the_same_limit(name: str) -> None:
    twin, file = TWINS[name]
    everywhere = found()[twin]
    assert file in everywhere
    assert set(everywhere.values()) == {getattr(limits, name)}, everywhere
