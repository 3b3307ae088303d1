# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Clearinghouse: buyer to every seller and seller to every buyer
@notice Wiring of the ledger's modules. It holds no tokens (Custody does) and trusts no venue with
        margin: every settled trade, withdrawal and liquidation bid passes the gate of ledger.vy.
@custom:kill The guardian can pause increases for at most seven days; reductions, withdrawals of
        free collateral, liquidations and deposits always run. Governance can approve another venue,
        never move an account's money.
"""

from lib import errors
import ledger
import novation
import transfers
import markets

initializes: ledger
initializes: novation[ledger := ledger]
initializes: transfers[ledger := ledger]
initializes: markets[ledger := ledger]

# trades
exports: novation.novate
# custody, liquidation, waterfall, everyone
exports: (
    transfers.credit,
    transfers.debit,
    transfers.sweep,
    transfers.check,
    transfers.set_in_auction,
    transfers.transfer_slice,
    transfers.move_cash,
    transfers.cut_gains,
    transfers.distribute_fees,
)
# governance and guardian
exports: (
    markets.list_instrument,
    markets.set_caps,
    markets.set_config,
    markets.set_debt_cap,
    markets.set_peers,
    markets.set_venue,
    markets.pause,
)
# raw views
exports: (
    markets.market,
    markets.account,
    markets.positions,
    markets.pot,
    markets.borrow_index,
    ledger.epochs,
    ledger.debt_cap,
    ledger.risk_model,
    ledger.custody,
    ledger.auctioneer,
    ledger.waterfall,
    ledger.guardian,
    ledger.venues,
)


@deploy
def __init__(governor: address, config: uint256):
    """@param config The config word; its epoch length is fixed here for good (600 s to one day)."""
    epoch_seconds: uint256 = (config >> 184) & (2**24 - 1)
    errors.require(
        epoch_seconds >= 600 and epoch_seconds <= 86400 and config >> 208 == 0, errors.OutOfBounds
    )
    markets._require_bounds(config)
    ledger.__init__(governor)
    ledger.config = config
    ledger.borrow = block.timestamp << 128
