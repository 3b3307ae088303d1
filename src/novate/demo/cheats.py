"""What a dishonest operator tries, against the real contracts: each attempt is a transaction with
its own key.

An attempt succeeds if the transaction goes through and moves what it aimed at. The operator has
everything a venue's operator has: the executor's key, both signed orders of real matches, and a
keeper's speed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from eth_account.signers.local import LocalAccount

from novate.chain.backend import abi_of
from novate.chain.deployment import CONTRACT_OF
from novate.demo.actors import BTC, USD, Actor, Desk
from novate.demo.venue import Venue
from novate.errors import BY_SELECTOR
from novate.model.oracle import Observation
from novate.services.batch_call import signed
from novate.services.replica import Outcome
from novate.units import WAD
from novate.wire import records
from novate.wire.order import SignedFill, SignedOrder, pack
from novate.wire.records import Matched, OrderPlaced
from novate.wire.round import signed_round


@dataclass(frozen=True, slots=True)
class Attempt:
    """One cheat: what was tried, which call it is, and how to tell from the outcome whether it
    worked.
    """

    name: str
    contract: str
    calldata: bytes
    key: LocalAccount
    worked: Callable[[Outcome], bool]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an attempt ended."""

    name: str
    who: str
    succeeded: bool
    stopped_by: str


@dataclass(slots=True)
class Loot:
    """What the operator has at hand: a settled match and its two orders."""

    match: Matched
    maker: OrderPlaced
    taker: OrderPlaced


def call(contract: str, function: str, *arguments: object) -> bytes:
    """Calldata of a function of one of the venue's contracts."""
    return abi_of(CONTRACT_OF[contract]).encode_call(function, *arguments)


def accepted(outcome: Outcome) -> bool:
    """The transaction went through."""
    return outcome.succeeded


def settled_anything(outcome: Outcome) -> bool:
    """At least one fill of the batch settled."""
    return any(e.name == "BatchSettled" and e.arguments["settled"] for e in outcome.events)


def settlement(fills: list[SignedFill], first_sequence: int) -> bytes:
    """Calldata of a settlement without a round."""
    packed = pack(fills)
    return call(
        "exchange",
        "settle",
        b"",
        packed.accounts,
        packed.instruments,
        packed.orders,
        packed.fills,
        first_sequence,
        packed.blobs,
    )


def attempts(
    venue: Venue, operator: Actor, accomplice: Actor, victim: Actor, loot: Loot, sequence: int
) -> Iterator[Attempt]:
    """All cheats at this moment; ``sequence`` is a match number that no honest batch uses."""
    executor = venue.executor
    maker, taker = (venue_order(venue, placed) for placed in (loot.maker, loot.taker))
    price = records.number(loot.match.price)
    lots = loot.match.lots
    yield Attempt(
        "fill an order twice",
        "exchange",
        settlement([SignedFill(taker, maker, lots, price)], sequence),
        executor,
        settled_anything,
    )
    forged = SignedOrder(
        replace(taker.order, lots=-taker.order.lots, nonce=2**40 + sequence), taker.r, taker.vs
    )
    yield Attempt(
        "forge an order of a user",
        "exchange",
        settlement([SignedFill(forged, taker, 1, price)], sequence + 3),
        executor,
        settled_anything,
    )
    again = settlement([SignedFill(taker, maker, lots, price)], loot.match.sequence)
    yield Attempt("replay a settled match", "exchange", again, executor, settled_anything)
    yield from _margin_attempts(venue, operator, accomplice, sequence)
    yield from _power_attempts(venue, operator, victim)


def _margin_attempts(
    venue: Venue, operator: Actor, accomplice: Actor, sequence: int
) -> Iterator[Attempt]:
    executor = venue.executor
    mark = venue.mark_wad(BTC)
    tick = venue.replica.world.ledger.terms[BTC].tick
    at_mark = mark - mark % tick
    far = at_mark * 12 // 10
    far -= far % tick
    pair = _pair(venue, operator, accomplice, 10, at_mark)
    yield Attempt(
        "fill more than was signed",
        "exchange",
        settlement([replace(pair, lots=11)], sequence + 1),
        executor,
        settled_anything,
    )
    pair = _pair(venue, operator, accomplice, 10, at_mark)
    yield Attempt(
        "fill beyond the limit price",
        "exchange",
        settlement([replace(pair, price=pair.taker.order.price + tick)], sequence + 2),
        executor,
        settled_anything,
    )
    huge = 40_000
    pair = _pair(venue, operator, accomplice, huge, at_mark)
    yield Attempt(
        "trade far beyond the margin",
        "exchange",
        settlement([pair], sequence + 4),
        executor,
        settled_anything,
    )
    pair = _pair(venue, operator, accomplice, 10, far)
    yield Attempt(
        "trade far off the mark with an accomplice",
        "exchange",
        settlement([pair], sequence + 5),
        executor,
        settled_anything,
    )
    own = _sisters(venue, operator, operator, 10, at_mark, sequence + 2)
    yield Attempt(
        "match oneself", "exchange", settlement([own], sequence + 6), executor, settled_anything
    )
    trade = [1 << 24 | 1 << 8 | 1000 << 32 | far << 76, 0]
    accounts = sorted((operator.account, accomplice.account))
    packed = [a.to_bytes(32, "big") for a in accounts]
    yield Attempt(
        "novate without being a venue",
        "clearinghouse",
        call("clearinghouse", "novate", packed, [BTC], [trade]),
        executor,
        accepted,
    )


def _power_attempts(venue: Venue, operator: Actor, victim: Actor) -> Iterator[Attempt]:
    executor, mine = venue.executor, operator.account.to_bytes(32, "big")
    theirs = victim.account.to_bytes(32, "big")
    insurance = (int(venue.deployment.addresses["waterfall"], 16) << 96 | 2).to_bytes(32, "big")
    usdc = venue.deployment.tokens["USDC"]
    yield Attempt(
        "credit cash out of nothing",
        "clearinghouse",
        call("clearinghouse", "credit", mine, 0, 10**24),
        executor,
        accepted,
    )
    yield Attempt(
        "debit a user's cash",
        "clearinghouse",
        call("clearinghouse", "debit", theirs, 0, 10**18),
        executor,
        accepted,
    )
    yield Attempt(
        "move the insurance fund",
        "clearinghouse",
        call("clearinghouse", "move_cash", insurance, mine, 10**18),
        executor,
        accepted,
    )
    yield Attempt(
        "withdraw a user's money",
        "custody",
        call("custody", "request_withdrawal", theirs, usdc, USD),
        executor,
        accepted,
    )
    yield Attempt(
        "withdraw more than one owns",
        "custody",
        call("custody", "request_withdrawal", mine, usdc, 10**8 * USD),
        operator.key,
        accepted,
    )
    yield Attempt(
        "open an auction of a healthy account",
        "auctioneer",
        call("auctioneer", "start", theirs),
        executor,
        accepted,
    )
    yield Attempt(
        "have the waterfall pay oneself",
        "waterfall",
        call("waterfall", "pay_reward", mine, 10**18),
        executor,
        accepted,
    )
    yield Attempt(
        "list oneself as a venue",
        "clearinghouse",
        call("clearinghouse", "set_venue", executor.address, True),
        executor,
        accepted,
    )
    yield from _oracle_attempts(venue)


def _oracle_attempts(venue: Venue) -> Iterator[Attempt]:
    """One bribed node: its key signs a price of a dollar, once or as often as the quorum asks."""
    words = [Observation(feed=BTC, index=10**10, mark=10**10, confidence_ppm=0).pack()]
    number = venue.replica.world.oracle.statuses[0].round + 1
    domain, key = venue.oracle_nodes[0].network.domain, venue.node_keys[0]
    for name, times in (("post a price alone", 1), ("post a price with one signature thrice", 3)):
        signed = signed_round(domain, number, venue.now + 1, words, [(0, key)] * times)
        calldata = call("oracle", "post_round", *signed.arguments())
        yield Attempt(name, "oracle", calldata, venue.executor, accepted)


def venue_order(venue: Venue, placed: OrderPlaced) -> SignedOrder:
    """The signed order behind a journal record."""
    return signed(placed)


def pair(
    desk: Desk, buyer: Actor, seller: Actor, instrument: int, lots: int, price: int
) -> SignedFill:
    """A fill that both sides signed."""
    usd = price / WAD
    buy = buyer.order(desk, instrument, lots, usd)
    sell = seller.order(desk, instrument, -lots, usd - 1, 0)
    return SignedFill(buy, sell, lots, price)


def _pair(venue: Venue, buyer: Actor, seller: Actor, lots: int, price: int) -> SignedFill:
    return pair(venue.desk({}), buyer, seller, BTC, lots, price)


def _sisters(
    venue: Venue, buyer: Actor, seller: Actor, lots: int, price: int, salt: int
) -> SignedFill:
    """Two orders of two accounts of one owner."""
    sister = replace(seller, account=seller.account + 1, nonces={True: salt, False: salt})
    return _pair(venue, buyer, sister, lots, price)


def judge(attempt: Attempt, outcome: Outcome, why: str) -> Verdict:
    """The verdict on one mined attempt."""
    worked = attempt.worked(outcome)
    skipped = [e for e in outcome.events if e.name in ("FillSkipped", "TradeSkipped")]
    ignored = [e.name for e in outcome.events if e.name.endswith("Ignored")]
    stopped = ", ".join([_reason(e.arguments["code"]) for e in skipped] or ignored) or why
    return Verdict(attempt.name, "operator", worked, "" if worked else stopped)


def _reason(code: bytes) -> str:
    found = BY_SELECTOR.get(int.from_bytes(code, "big"))
    return found.name if found else "0x" + code.hex()
