"""Records that no engine would write, as somebody who verifies meets them: each is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from novate import config
from novate.engine.journal import GENESIS_KIND, Journal
from novate.services.verification import Case, Wrong, hash_chain, order_signatures
from novate.wire import records
from novate.wire.records import AnyRecord, BlockAccepted
from tests.support.blocks import blocked
from tests.support.engine import Floor
from tests.support.index import DEPLOYMENT


@pytest.fixture(scope="module")
def block() -> BlockAccepted:
    floor = Floor()
    for name in ("maker", "taker"):
        floor.deposit(name, 1_000_000)
    return blocked(floor)


def quiet(done: int, of: int) -> None:
    """Nobody watches."""


def case(path: Path, forged: AnyRecord) -> Case:
    """A journal whose third record is the forged one."""
    sound = records.Genesis(31_337, {}, bytes(32))
    with Journal.open(path / "journal.bin", lambda: 1) as journal:
        assert type(sound).__name__ == GENESIS_KIND
        for record in (sound, records.BatchDue(5), forged):
            journal.append(*records.encode(record))
        journal.commit()
    return Case(path / "journal.bin", DEPLOYMENT, config.load(), None)  # type: ignore[arg-type]


NO_ORDERS: dict[str, Callable[[BlockAccepted], BlockAccepted]] = {
    "none at all": lambda block: replace(block, taker=[], maker=[]),
    "none of the maker": lambda block: replace(block, maker=[]),
    "none of the taker": lambda block: replace(block, taker=[]),
}


@pytest.mark.parametrize("kind", NO_ORDERS)
def test_a_block_without_orders_is_named(tmp_path: Path, block: BlockAccepted, kind: str) -> None:
    with pytest.raises(Wrong, match="at `") as found:
        hash_chain(case(tmp_path, NO_ORDERS[kind](block)), quiet)
    assert found.value.record == 2


def bad_price(block: BlockAccepted) -> BlockAccepted:
    first = block.taker[0]
    order = replace(first.order, price="a lot")
    return replace(block, taker=[replace(first, order=order), *block.taker[1:]])


def bad_consent(block: BlockAccepted) -> BlockAccepted:
    return replace(block, maker_consent=bytes(64))


def uneven(block: BlockAccepted) -> BlockAccepted:
    return replace(block, maker=block.maker[:1])


def late(block: BlockAccepted) -> BlockAccepted:
    return replace(block, expiry=1 << 63)


@pytest.mark.parametrize("forge", [bad_price, bad_consent, uneven, late])
def test_a_block_that_means_nothing_is_named(
    tmp_path: Path, block: BlockAccepted, forge: Callable[[BlockAccepted], BlockAccepted]
) -> None:
    made = case(tmp_path, forge(block))
    hash_chain(made, quiet)
    with pytest.raises(Wrong) as found:
        order_signatures(made, quiet)
    assert found.value.record == 2
