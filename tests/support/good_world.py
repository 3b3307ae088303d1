"""One model world with everything in it: traders with gains, losses, spot and funding between them,
a saver, and money in the insurance. Pure model, no chain.
"""

from __future__ import annotations

from novate.model import custody, ledger, margin, novation
from novate.model.account import account_of
from novate.model.instrument import PERP, SPOT, Terms
from novate.model.margin import RiskParameters
from novate.model.novation import Trade
from novate.model.oracle import Feed, Status
from novate.model.state import World
from novate.units import ORACLE_UNIT, WAD

NOW = 1_760_100_000
BTC, ETH, WETH = 1, 2, 3
USDC_TOKEN, WETH_TOKEN = "0x" + "c1" * 20, "0x" + "c2" * 20
ROLES = ("timelock", "custody", "auctioneer", "waterfall", "guardian", "exchange")
ADDRESSES = {role: f"0x{index + 1:040x}" for index, role in enumerate(ROLES)}
LONG, SHORT, HEDGER, SAVER = (account_of(0xA000 + i) for i in range(4))
INSURANCE = account_of(ADDRESSES["waterfall"], 2)
PARAMETERS = {
    0: RiskParameters(0, 150_000, 0, 1, 100_000, 100_000, 80_000, 120_000, 1, 500_000, 5_000, 500),
    1: RiskParameters(0, 180_000, 0, 1, 60_000, 100_000, 100_000, 150_000, 1, 300_000, 5_000, 500),
}
TERMS = {
    BTC: Terms(10**15, 5 * 10**17, 10**7, 2 * 10**6, 0, 0, PERP),
    ETH: Terms(10**16, 5 * 10**16, 10**7, 3 * 10**6, 1, 1, PERP),
    WETH: Terms(10**12, 10**16, 10**12, 10**11, 1, 1, SPOT),
}


def price(world: World, feed: int, usd: int, average: int | None = None) -> None:
    """Put a price into the oracle, its mark three units above its index."""
    units = usd * WAD // ORACLE_UNIT
    mark = units + 3
    world.oracle.feeds[feed] = Feed(units, mark, average or mark, 137, world.now)
    world.oracle.statuses[0] = Status(7, world.now, NOW - 9_000, node_count=4, quorum=3)


def trade(world: World, buyer: int, seller: int, instrument: int, lots: int, usd: int) -> None:
    """One trade at a price, the buyer taking, a dollar of fee each."""
    accounts = sorted((buyer, seller))
    taker, maker = accounts.index(buyer), accounts.index(seller)
    made = Trade(taker, maker, 0, True, lots, usd * WAD, WAD, WAD)
    bitmap = novation.novate(world, ADDRESSES["exchange"], accounts, [instrument], [made])
    assert bitmap == 1


def good_world() -> World:
    """The world after a half-hour in which prices moved."""
    made = World(NOW, ADDRESSES)
    made.ledger.venues[ADDRESSES["exchange"]] = True
    made.ledger.configs["config"] = ledger.Config()
    governor = ADDRESSES["timelock"]
    for underlying, parameters in PARAMETERS.items():
        made.now = NOW - 200_000
        margin.set_parameters(made, governor, underlying, parameters)
    made.now = NOW
    for instrument, terms in TERMS.items():
        ledger.list_instrument(made, governor, instrument, terms)
    for token, listing in ((USDC_TOKEN, (0, 6, 0)), (WETH_TOKEN, (WETH, 18, 10**12))):
        custody.set_token(made, governor, token, *listing, 10**9)
        custody.set_deposit_cap(made, governor, token, 10**9)
    for account in (LONG, SHORT, HEDGER, SAVER, INSURANCE):
        custody.deposit(made, ADDRESSES["custody"], USDC_TOKEN, account, 100_000 * 10**6)
    custody.deposit(made, ADDRESSES["custody"], WETH_TOKEN, HEDGER, 10 * 10**18)
    price(made, 0, 60_000)
    price(made, 1, 3_000)
    trade(made, LONG, SHORT, BTC, 3_000, 60_010)
    trade(made, SHORT, HEDGER, ETH, 1_000, 3_001)
    made.now += 1_800
    price(made, 0, 60_700, average=60_100 * WAD // ORACLE_UNIT)
    price(made, 1, 2_950, average=3_000 * WAD // ORACLE_UNIT)
    trade(made, LONG, HEDGER, BTC, 400, 60_700)
    ledger.sweep(made, "", [LONG, SHORT])
    made.take_events()
    return made
