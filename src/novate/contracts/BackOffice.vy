# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title BackOffice: the Clearinghouse's functions that are not on the path of a trade
@notice Code only: the Clearinghouse runs it by delegatecall on its own storage, so both must lay
        the ledger out alike (a test compares the compiler's layouts) and share one lock. Called
        directly it acts on an empty ledger of its own: no peer is set there, and nothing reads it.
"""

import expiry
import layers
import ledger
import markets

initializes: ledger
initializes: expiry[ledger := ledger]
initializes: layers[ledger := ledger]
initializes: markets[ledger := ledger]

# waterfall, everyone
exports: expiry.settle_expiry
exports: (layers.move_cash, layers.cut_gains, layers.distribute_fees)
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


@deploy
def __init__(governor: address):
    ledger.__init__(governor)
