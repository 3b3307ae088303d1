"""Events of the chain become rows; blocks that leave it take theirs along; strangers change nothing
that is ours.
"""

from __future__ import annotations

import random
from contextlib import closing
from typing import Any

import msgspec
import pytest
from support.index import (
    DEPLOYMENT,
    EXECUTOR,
    MAKER,
    NOW,
    PARAMETERS,
    STRANGER,
    TAKER,
    Branches,
    Pen,
    batch_log,
    contents,
    fill_log,
    index,
    log,
    matched,
    placed,
    rows,
    settle_calldata,
    skipped_log,
    store_in_memory,
    store_of_each_kind,
    transaction,
)
from support.journals import rejection

from novate import errors
from novate.chain.client import RpcFault
from novate.config import load
from novate.errors import UnknownInstrument
from novate.services.indexer import BY_JOURNAL, BY_NODE, LEDGER, Indexer
from novate.services.indexer_journal import text
from novate.store import names, schema
from novate.store.accounts import get_deposits, get_withdrawals
from novate.store.answers import Batch, Trade
from novate.store.busts import get_trade_busts
from novate.store.database import NOWHERE, Database
from novate.store.history import get_auctions
from novate.store.pages import Page
from novate.store.trades import get_batches, get_last_trades_by_instrument
from novate.wire.records import BatchClosed, BatchSubmitted, Busted, ChainTransaction

ALL = Page(count=1000, sorting="asc")
USDC = next(iter(DEPLOYMENT.tokens.values())).lower()
store, quick = store_of_each_kind, store_in_memory


def trades(store: Database) -> list[Trade]:
    with store.begin() as connection:
        return get_last_trades_by_instrument(connection, "BTC-PERPETUAL", ALL).rows


def states(store: Database) -> list[str]:
    return [trade.settlement_state for trade in trades(store)]


def batches(store: Database) -> list[Batch]:
    with store.begin() as connection:
        return get_batches(connection, ALL).rows


def journal(count: int = 3, batched: int = 3) -> Pen:
    """``count`` matches, of which the first ``batched`` are in a batch."""
    pen = Pen()
    pen.write(placed(1, -1_000), placed(2, 1_000))
    pen.write(*(matched(n, 1, 2, n + 1) for n in range(count)))
    if batched:
        pen.write(BatchClosed(0, batched, 1, 1), BatchSubmitted(bytes(32), 0, batched, 1, 1))
    return pen


def all_settled(count: int = 3) -> list[Any]:
    return [*(fill_log(n, n + 1) for n in range(count)), batch_log(0, count, (1 << count) - 1)]


# What settles and what does not


def test_a_trade_is_matched_then_batched_then_settled(store: Database) -> None:
    chain, pen = Branches(), journal(3, 0)
    indexer = index(store, BY_NODE)
    indexer.take(pen.entries)
    assert states(store) == ["matched"] * 3 and batches(store) == []
    pen.write(BatchClosed(0, 2, 1, 1))
    indexer.take(pen.entries)
    assert states(store) == ["batched", "batched", "matched"]
    assert [b.state for b in batches(store)] == ["closed"]
    pen.write(BatchSubmitted(b"\7" * 32, 0, 2, 1, 1))
    indexer.take(pen.entries)
    assert [(b.state, b.transaction) for b in batches(store)] == [
        ("submitted", text(b"\7" * 32)),
    ]
    block = chain.mine(fill_log(0, 1), fill_log(1, 2), batch_log(0, 2, 3))
    assert indexer.follow(chain) == 1
    first, second, third = trades(store)
    assert (first.settlement_state, first.block, first.batch) == ("settled", block, 0)
    assert first.transaction == text(transaction(block).transaction)
    assert second.settlement_state == "settled" and third.settlement_state == "matched"
    (batch,) = batches(store)
    assert (batch.state, batch.settled, batch.block) == ("settled", 2, block)


def test_a_trade_that_settlement_refuses_is_busted_once_it_is_given_up(store: Database) -> None:
    chain = Branches()
    indexer, pen = index(store, BY_NODE), journal()
    indexer.take(pen.entries)
    expired, margin = errors.OrderExpired, errors.InsufficientMargin
    ledger_says = log(
        "clearinghouse", "TradeSkipped", index=1, code=margin.selector.to_bytes(4, "big")
    )
    # the Exchange bars fill 0; of fills 1 and 2, which it sends, the ledger refuses the second
    block = chain.mine(
        skipped_log(0, expired.selector), ledger_says, fill_log(1, 2), batch_log(0, 3, 0b010)
    )
    indexer.follow(chain)
    assert states(store) == ["batched", "settled", "batched"], "they are tried again"
    assert [(t.transaction is None, t.block) for t in trades(store)][0::2] == [(True, None)] * 2
    assert [(b.state, b.settled) for b in batches(store)] == [("partly_settled", 1)]
    with store.begin() as connection:
        busts = get_trade_busts(connection, ALL).rows
    assert [(b.trade_id, b.reason, b.block, b.state) for b in busts] == [
        ("0", "OrderExpired", block, "refused"),
        ("2", "InsufficientMargin", block, "refused"),
    ]
    pen.write(Busted(0, expired.code), Busted(2, margin.code))
    indexer.take(pen.entries)
    assert [(t.settlement_state, t.bust_reason) for t in trades(store)] == [
        ("busted", "OrderExpired"),
        ("settled", None),
        ("busted", "InsufficientMargin"),
    ]
    chain.mine(fill_log(0, 1), batch_log(0, 1, 1), calldata=settle_calldata(1))
    indexer.follow(chain)
    assert states(store) == ["settled", "settled", "busted"], "a receipt settles it after all"
    assert trades(store)[0].bust_reason is None
    with store.begin() as connection:
        found = get_trade_busts(connection, ALL).rows
        assert [(b.trade_id, b.state) for b in found] == [("2", "given_up")]


def test_a_batch_sent_twice_does_not_bust_what_it_settled(store: Database) -> None:
    chain = Branches()
    indexer = index(store, BY_NODE)
    indexer.take(journal().entries)
    chain.mine(*all_settled())
    used = errors.ReceiptUsed.selector
    chain.mine(*(skipped_log(n, used) for n in range(3)), batch_log(0, 3, 0))
    indexer.follow(chain)
    assert states(store) == ["settled"] * 3
    assert [(b.state, b.settled) for b in batches(store)] == [("settled", 3)]


HOSTILE: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "a stranger settles orders of its own under our numbers": (
        [fill_log(0, 9), fill_log(2**64 - 1, 9), batch_log(0, 3, 0b001, STRANGER)],
        {"sender": STRANGER},
    ),
    "a stranger presents our receipts with nonsense": (
        [skipped_log(0, errors.BadReceipt.selector), batch_log(0, 1, 0)],
        {"sender": STRANGER, "calldata": settle_calldata(1)},
    ),
    "our executor's receipts are refused": (
        [skipped_log(0, errors.BadReceipt.selector), batch_log(0, 1, 0)],
        {"calldata": settle_calldata(1)},
    ),
    "a contract of a stranger's calls the Exchange": (
        [skipped_log(0, errors.BadReceipt.selector), batch_log(0, 1, 0)],
        {"sender": STRANGER, "contract": "0x" + "77" * 20, "calldata": b"\1\2"},
    ),
    "a stranger's contract logs the same events": (
        [(b"\x66" * 20, topics, data) for _, topics, data in all_settled()],
        {},
    ),
    "calldata that no function reads": ([batch_log(0, 3, 0)], {"calldata": b"\xff" * 4}),
    "a log without topics": ([(fill_log(0, 1)[0], [], b"")], {}),
    "a trade skipped beyond the batch": (
        [
            log("clearinghouse", "TradeSkipped", index=2**200, code=b"\0" * 4),
            batch_log(9, 0, 0),
        ],
        {},
    ),
    "a failed transaction": ([], {"succeeded": False}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_strangers_do_leaves_our_trades_alone(quick: Database, name: str) -> None:
    chain = Branches()
    indexer = index(quick, BY_NODE)
    indexer.take(journal().entries)
    logs, how = HOSTILE[name]
    chain.mine()
    number = chain.blocks[-1].number + 1
    chain.mine(branch="hostile")
    last = chain.blocks[-1]
    chain.blocks[-1] = type(last)(
        last.number,
        last.hash,
        last.parent,
        last.timestamp,
        (transaction(number, logs, **how),),
    )
    indexer.follow(chain)
    assert states(quick) == ["batched"] * 3
    assert [b.state for b in batches(quick)] == ["submitted"]
    chain.mine(*all_settled())
    indexer.follow(chain)
    assert states(quick) == ["settled"] * 3


def test_our_numbers_cannot_settle_twice(quick: Database) -> None:
    chain = Branches()
    indexer = index(quick, BY_NODE)
    indexer.take(journal().entries)
    chain.mine(*all_settled())
    indexer.follow(chain)
    before = contents(quick)
    chain.mine(*all_settled())
    assert rejection(lambda: indexer.follow(chain))[0] is errors.IndexInconsistent
    assert contents(quick) == before


# Blocks that leave the chain


def test_a_trade_whose_block_leaves_is_batched_and_settles_once_in_another(store: Database) -> None:
    chain = Branches()
    indexer = index(store, BY_NODE)
    indexer.take(journal().entries)
    chain.mine()
    gone = chain.mine(*all_settled())
    chain.mine()
    indexer.follow(chain)
    assert states(store) == ["settled"] * 3
    chain.drop(2)
    chain.mine(branch="b")
    chain.mine(branch="b")
    chain.mine(branch="b")
    indexer.follow(chain)
    assert states(store) == ["batched"] * 3 and [b.state for b in batches(store)] == ["submitted"]
    again = chain.mine(*all_settled(), branch="b")
    indexer.follow(chain)
    assert {t.block for t in trades(store)} == {again} != {gone}
    assert len([r for r in rows(store, schema.outcomes) if r["settled"]]) == 3
    rebuilt_equals(store, chain, journal())


def rebuilt_equals(store: Database, chain: Branches, pen: Pen) -> None:
    """An index built now from nothing holds the same rows, whichever source comes first."""
    for chain_first in (False, True):
        with closing(Database.open("sqlite://")) as other:
            indexer = index(other, BY_NODE)
            if chain_first:
                indexer.follow(chain)
            indexer.take(pen.entries)
            indexer.follow(chain)
            assert contents(store) == contents(other)


def test_the_chain_may_be_read_before_the_journal(store: Database) -> None:
    chain = Branches()
    chain.mine(*all_settled())
    indexer = index(store, BY_NODE)
    indexer.follow(chain)
    assert trades(store) == []
    indexer.take(journal().entries)
    assert states(store) == ["settled"] * 3


@pytest.mark.parametrize("seed", range(4))
def test_any_walk_over_branches_ends_as_a_rebuild_does(seed: int) -> None:
    chance, chain, pen = random.Random(seed), Branches(), journal(40, 0)
    with closing(Database.open("sqlite://")) as store:
        indexer, taken = index(store, BY_NODE), 0
        for step in range(40):
            if chance.random() < 0.25 and len(chain.blocks) > 1:
                chain.drop(chance.randint(1, min(12, len(chain.blocks) - 1)))
            for _ in range(chance.randint(1, 3)):
                held = {n for b in chain.blocks for t in b.transactions for n in _sequences(t)}
                free = [n for n in range(40) if n not in held][: chance.randint(0, 2)]
                logs = [fill_log(n, n + 1) for n in free]
                ends = [batch_log(min(free), len(free), (1 << len(free)) - 1)] if free else []
                chain.mine(*logs, *ends, branch=f"{seed} {step}")
            if chance.random() < 0.5:
                taken = min(taken + chance.randint(1, 8), len(pen.entries))
                indexer.take(pen.entries[:taken])
            if chance.random() < 0.6:
                indexer.follow(chain)
            if chance.random() < 0.2:
                indexer = index(store, BY_NODE)
        indexer.take(pen.entries)
        indexer.follow(chain)
        rebuilt_equals(store, chain, pen)


def _sequences(record: ChainTransaction) -> list[int]:
    """What a transaction of ``fill_log`` settled."""
    exchange = bytes.fromhex(DEPLOYMENT.addresses["exchange"][2:])
    fills = [data for address, topics, data in record.events if address == exchange]
    return [int.from_bytes(d, "big") & (2**64 - 1) for d in fills if len(d) == 32]


def test_a_node_that_lags_takes_nothing_back(quick: Database) -> None:
    chain = Branches()
    indexer = index(quick, BY_NODE)
    indexer.take(journal().entries)
    chain.mine(*all_settled())
    chain.mine()
    indexer.follow(chain)
    before = contents(quick)
    chain.lag = 2
    assert indexer.follow(chain) == 0
    assert contents(quick) == before
    chain.lag = 0
    chain.mine()
    assert indexer.follow(chain) == 1


def test_a_shorter_branch_takes_blocks_back(quick: Database) -> None:
    chain = Branches()
    indexer = index(quick, BY_NODE)
    indexer.take(journal().entries)
    chain.mine()
    chain.mine(*all_settled())
    chain.mine()
    indexer.follow(chain)
    chain.drop(2)
    chain.mine(branch="shorter")
    indexer.follow(chain)
    assert states(quick) == ["batched"] * 3
    rebuilt_equals(quick, chain, journal())


def test_a_node_of_another_chain_is_refused_and_changes_nothing(quick: Database) -> None:
    chain = Branches()
    indexer = index(quick, BY_NODE)
    chain.mine()
    indexer.follow(chain)
    before = contents(quick)
    other = Branches()
    other.blocks[0] = type(other.blocks[0])(other.base, "0x" + "ab" * 32, "0x", NOW, ())
    other.mine()
    assert rejection(lambda: indexer.follow(other))[0] is errors.IndexForeign
    assert contents(quick) == before
    empty = Branches()
    empty.blocks.clear()
    empty.head = lambda: 0  # type: ignore[method-assign]
    with closing(Database.open("sqlite://")) as fresh:
        assert rejection(lambda: index(fresh, BY_NODE).follow(empty))[0] is errors.IndexForeign


def test_blocks_that_do_not_follow_one_another_are_not_taken(quick: Database) -> None:
    chain = Branches()
    indexer = index(quick, BY_NODE)
    for _ in range(5):
        chain.mine()
    chain.rename(chain.base + 3, "0x" + "00" * 32)
    assert indexer.follow(chain) == 2, "the node changed its branch while it was read"
    assert indexer.follow(chain) == 0


def test_a_node_that_fails_in_the_middle_leaves_whole_blocks(quick: Database) -> None:
    chain = Branches()
    indexer = index(quick, BY_NODE)
    indexer.take(journal().entries)
    chain.mine()
    indexer.follow(chain)
    chain.mine(*all_settled())
    answer = chain.block

    def stall(number: int) -> Any:
        if number == chain.base + 2:
            raise RpcFault("no answer")
        return answer(number)

    chain.block = stall  # type: ignore[method-assign]
    with pytest.raises(RpcFault):
        indexer.follow(chain)
    assert states(quick) == ["batched"] * 3
    chain.block = answer  # type: ignore[method-assign]
    assert indexer.follow(chain) == 1 and states(quick) == ["settled"] * 3


# What the journal's watcher told


def told(*found: ChainTransaction) -> Pen:
    pen = journal()
    pen.write(*found)
    return pen


def test_without_a_node_the_journal_tells_of_the_chain(store: Database) -> None:
    index(store).take(told(transaction(DEPLOYMENT.block + 1, all_settled())).entries)
    assert states(store) == ["settled"] * 3


def test_with_a_node_what_the_journal_tells_is_passed_over(quick: Database) -> None:
    index(quick, BY_NODE).take(told(transaction(DEPLOYMENT.block + 1, all_settled())).entries)
    assert states(quick) == ["batched"] * 3
    assert rejection(lambda: index(quick, BY_JOURNAL))[0] is errors.IndexForeign


@pytest.mark.parametrize("second", [(2, 0), (1, 5), (2, 1)], ids=["again", "earlier", "same"])
def test_transactions_out_of_order_are_refused(quick: Database, second: tuple[int, int]) -> None:
    base = DEPLOYMENT.block
    pen = told(
        transaction(base + 2, all_settled(), 1), transaction(base + second[0], (), second[1])
    )
    assert rejection(lambda: index(quick).take(pen.entries))[0] is errors.IndexOutOfOrder
    assert rows(quick, schema.transactions) == []
    first = told(transaction(base + 2, all_settled(), 1))
    index(quick).take(first.entries)
    assert rejection(lambda: index(quick).take(pen.entries))[0] is errors.IndexOutOfOrder


# Custody, auctions, listings


def custody(event: str, amount: int, **more: Any) -> Any:
    return log("custody", event, account=TAKER, token=USDC, amount=amount, **more)


def test_deposits_and_withdrawals_and_what_became_of_them(store: Database) -> None:
    chain, when = Branches(), NOW + 5
    request = {"eligible_at": when}
    for logs in (
        [custody("Deposited", 5_000_000), custody("Deposited", 2**255)],
        [custody("WithdrawalRequested", 1, **request)],
        [custody("WithdrawalCancelled", 1)],
        [custody("WithdrawalRequested", 2, **request)],
        [custody("WithdrawalRequested", 3_000_000, **request), custody("Withdrawn", 3_000_000)],
        [custody("WithdrawalRequested", 4, **request)],
    ):
        chain.mine(*logs, contract="custody", calldata=b"")
    index(store, BY_NODE).follow(chain)
    with store.begin() as connection:
        deposits = get_deposits(connection, text(TAKER), ALL).rows
        withdrawals = get_withdrawals(connection, text(TAKER), ALL).rows
        assert get_deposits(connection, text(MAKER), ALL).rows == []
        one = get_withdrawals(connection, text(TAKER), Page(1, sorting="asc")).rows
    assert [d.amount for d in deposits] == ["5", f"{2**255 // 10**6}.{2**255 % 10**6:06}"]
    assert deposits[0].currency == PARAMETERS.tokens[0].name
    found = [(w.amount, w.state) for w in withdrawals]
    assert found == [
        ("0.000001", "cancelled"),
        ("0.000002", "interrupted"),
        ("3", "completed"),
        ("0.000004", "confirmed"),
    ]
    assert withdrawals[2].confirmed_timestamp == when * 1000 and one == withdrawals[:1]


def test_the_steps_of_a_liquidation(store: Database) -> None:
    chain = Branches()
    chain.mine(log("auctioneer", "AuctionStarted", account=TAKER, equity=-5, margin=7))
    chain.mine(
        log(
            "auctioneer",
            "SliceSold",
            account=TAKER,
            bidder=MAKER,
            fraction_ppm=500_000,
            discount_ppm=30_000,
            reward=10**18,
            fee=2,
        ),
        log("auctioneer", "WrittenOff", account=TAKER, deficit=2 * 10**18),
        log("waterfall", "LayerPaid", layer=1, account=TAKER, amount=10**18),
        log("waterfall", "HaircutOpened", account=TAKER, amount=1, not_before=2),
        log("auctioneer", "AuctionEnded", account=TAKER, equity=0, margin=0),
    )
    index(store, BY_NODE).follow(chain)
    with store.begin() as connection:
        found = get_auctions(connection, ALL, text(TAKER)).rows
        assert get_auctions(connection, ALL).rows == found
        assert get_auctions(connection, ALL, text(MAKER)).rows == []
    names_of = [event.event for event in found]
    assert names_of == [
        "started",
        "slice_sold",
        "written_off",
        "layer_paid",
        "haircut_opened",
        "ended",
    ]
    assert (found[0].equity, found[0].maintenance_margin) == (
        "-0.000000000000000005",
        "0.000000000000000007",
    )
    assert (found[1].bidder, found[1].reward, found[1].fraction_ppm) == (text(MAKER), "1", 500_000)
    assert found[2].amount == "2" and (found[3].layer, found[3].amount) == (1, "1")


def test_what_is_listed_later_is_known_until_its_block_leaves(store: Database) -> None:
    chain = Branches()
    terms = next(i for i in PARAMETERS.instruments if i.id == 1)
    word = terms.lot_size_wad | terms.tick_wad << 64 | 7 << 240 | 1 << 248
    chain.mine(
        log("clearinghouse", "InstrumentListed", instrument=9, terms=word),
        log("clearinghouse", "InstrumentListed", instrument=9, terms=word + 1),
        log("clearinghouse", "InstrumentListed", instrument=1, terms=word),
        log(
            "custody",
            "TokenListed",
            token="0x" + "AB" * 20,
            instrument=9,
            decimals=18,
            lot_units=1,
            cap_step=1,
        ),
    )
    indexer = index(store, BY_NODE)
    indexer.follow(chain)
    with store.begin() as connection:
        found = names.instrument(connection, "INSTRUMENT-9")
        assert (found.lot_size, found.feed) == (terms.lot_size_wad, 7)
        assert names.instrument(connection, terms.name).feed == terms.feed
        assert names.tokens(connection)["0x" + "ab" * 20].decimals == 18
    chain.drop(1)
    chain.mine(branch="b")
    indexer.follow(chain)
    with store.begin() as connection:
        assert (
            rejection(lambda: names.instrument(connection, "INSTRUMENT-9"))[0] is UnknownInstrument
        )
        assert "0x" + "ab" * 20 not in names.tokens(connection)


# The ledger's rows end where the model cannot follow, and nothing else does


def test_where_the_model_cannot_follow_its_rows_end_and_the_reason_stands(store: Database) -> None:
    chain = Branches()
    indexer = index(store, BY_NODE)
    indexer.take(journal().entries)
    assert indexer.place(LEDGER) == NOWHERE
    stopped = chain.mine(*all_settled())
    chain.mine(custody("Deposited", 5), contract="custody")
    indexer.follow(chain)
    place = indexer.place(LEDGER)
    assert place.position == stopped and "ReplicaDiverged" in place.hash
    assert states(store) == ["settled"] * 3 and len(rows(store, schema.custody_events)) == 1
    assert rows(store, schema.account_log) == []
    rebuilt_equals(store, chain, journal())
    chain.drop(2)
    chain.mine(branch="b")
    indexer.follow(chain)
    assert indexer.place(LEDGER) == NOWHERE, "the transaction that stopped it left the chain"


def test_a_database_of_another_venue_or_with_other_parameters_is_refused(quick: Database) -> None:
    index(quick)
    other = msgspec.structs.replace(DEPLOYMENT, chain_id=DEPLOYMENT.chain_id + 1)
    assert rejection(lambda: Indexer(quick, other, PARAMETERS))[0] is errors.IndexForeign
    changed = msgspec.structs.replace(DEPLOYMENT, configuration="00")
    assert rejection(lambda: Indexer(quick, changed, load()))[0] is errors.InvalidParameter
    assert EXECUTOR in DEPLOYMENT.roles.executors
