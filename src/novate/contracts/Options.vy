# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Options: European options and dated futures on a committed grid, and their risk arrays
        (docs/SPEC.md §14)
@notice Holds no money and no positions, but counts their open interest for the Clearinghouse.
        Governance commits to a grid of strikes and expiries an underlying, anyone lists what lies
        on it, and anyone brings the stored arrays of an expiry up to date. Twins:
        novate/model/option_listing.py, novate/model/options.py, novate/model/option_series.py.
@custom:kill Governance can close the listing of an underlying. What is listed stays, and its arrays
    can be refreshed and read as long as prices and surfaces come.
"""

import option_arrays
import option_lanes
import option_listing
import option_series
import option_sums

initializes: option_listing
initializes: option_arrays[option_listing := option_listing]
initializes: option_lanes[option_arrays := option_arrays, option_listing := option_listing]
initializes: option_series[
    option_arrays := option_arrays,
    option_lanes := option_lanes,
    option_listing := option_listing,
]
initializes: option_sums[option_lanes := option_lanes, option_listing := option_listing]

exports: (
    option_listing.set_grid,
    option_listing.set_forward_feed,
    option_listing.list_expiry,
    option_listing.list_strike,
    option_listing.grid,
    option_listing.forward_feed,
    option_listing.expiry_of,
    option_listing.listed,
    option_listing.terms,
)
exports: (
    option_arrays.refresh,
    option_arrays.words,
    option_arrays.epoch,
    option_arrays.epoch_now,
    option_arrays.generation,
    option_arrays.greeks,
)
exports: (option_lanes.lane_words, option_lanes.usable)
exports: option_sums.fresh_sums
exports: (
    option_series.set_exposure_limits,
    option_series.move_interest,
    option_series.close_interest,
    option_series.interest,
    option_series.settlement,
    option_series.series,
    option_series.limits,
)


@deploy
def __init__(
    governor: address, oracle: address, surfaces: address, clearinghouse: address, builder: address
):
    """@notice No grid yet; the five are for good. The Clearinghouse names the risk model."""
    option_listing.__init__(governor, oracle, surfaces)
    option_arrays.__init__(clearinghouse, builder)
