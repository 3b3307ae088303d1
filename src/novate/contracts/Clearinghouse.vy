# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Clearinghouse: buyer to every seller and seller to every buyer
@notice Wiring of the ledger's modules. It holds no tokens (Custody does) and trusts no venue with
        margin: every settled trade, withdrawal and liquidation bid passes the gate of ledger.vy.
        What is not on the path of a trade (governance, the waterfall's cash) is code of BackOffice,
        fixed at deployment and run on this contract's storage under the same lock.
@custom:kill The guardian can pause increases for at most seven days; reductions, withdrawals of
        free collateral, liquidations and deposits always run. Governance can approve another venue,
        never move an account's money.
"""

from lib import errors
import ledger
import ledger_views
import markets
import novation
import tradable
import transfers

initializes: ledger
initializes: tradable[ledger := ledger]
initializes: novation[ledger := ledger, tradable := tradable]
initializes: transfers[ledger := ledger]
initializes: ledger_views[ledger := ledger]
initializes: markets[ledger := ledger]

# trades
exports: novation.novate
# custody, liquidation, everyone
exports: (
    transfers.credit,
    transfers.debit,
    transfers.sweep,
    transfers.check,
    transfers.set_in_auction,
    transfers.transfer_slice,
)
# raw views
exports: (
    ledger_views.market,
    ledger_views.market_words,
    ledger_views.account,
    ledger_views.positions,
    ledger_views.pot,
    ledger_views.borrow_index,
    ledger.epochs,
    ledger.debt_cap,
    ledger.risk_model,
    ledger.custody,
    ledger.auctioneer,
    ledger.waterfall,
    ledger.guardian,
    ledger.options,
    ledger.venues,
)

BACK_OFFICE: public(immutable(address))


@deploy
def __init__(governor: address, config: uint256, back_office: address):
    """
    @param config The config word; its epoch length is fixed here for good (600 s to one day).
    @param back_office A BackOffice of the same governor.
    """
    epoch_seconds: uint256 = (config >> 184) & (2**24 - 1)
    errors.require(
        epoch_seconds >= 600 and epoch_seconds <= 86400 and config >> 208 == 0, errors.OutOfBounds
    )
    markets._require_bounds(config)
    BACK_OFFICE = back_office
    ledger.__init__(governor)
    ledger.config = config
    ledger.borrow = block.timestamp << 128


# The function called takes the lock itself.
@external
@raw_return
@reentrant
def __default__() -> Bytes[32]:
    """@notice Every other function is BackOffice's; what it reverts with, reverts."""
    return raw_call(BACK_OFFICE, msg.data, max_outsize=32, is_delegate_call=True)
