"""Where the accumulators of margin lie: flat arrays of accounts, positions, instruments,
underlyings.

Owns: every column the kernels of ``lanes_kernel.py`` read or write, the three answers, and the
error bound that makes them exact.

**The bound.** The model's money is exact; here it is float64, u = 2^-53. An answer is given only
if what it compares differs by more than ``TOLERANCE_SHARE · (Σ_u gross·weight + worth + |money|) +
TOLERANCE_WEI``, else it is TOO_CLOSE and the exact model decides. Here gross = Σ |lots|·notional
and worth = Σ |lots·value| of an account, money is cash, gains and variation, and weight = 1 + L,
where L is how steeply an underlying's liquidity charge rises with its size.

Proof, with at most 129 positions (128 and one that a trade opens), all rates at most those that
``margin.set_parameters`` lets through, and E an absolute error:

1. Lots are below 2^53, so exact. A lot's notional is rounded once, each product once, and 129 sums
   follow: E(delta), E(spot), E(size) ≤ 132u·gross; likewise E(value) ≤ 132u·worth.
2. A rate is rounded once and multiplied once, so a charge r·size errs by at most r·136u·gross. Scan
   has r ≤ 1; doubt and penalty r ≤ 16.8 (24 bits of ppm), and the penalty as a function of delta is
   continuous with that slope also where its sign flips; charges r ≤ 0.66; haircuts r ≤ 0.9.
3. The saving is a minimum, maximum or difference of two sums over at most 16 underlyings, each of
   terms ≤ gross: E ≤ 2·160u·gross, and clamping enlarges nothing.
4. Liquidity is max·size·(min(size, high) − low)/(high − low), of slope L = max·(2·high − low)/(high
   − low) at most. Its sizes are whole thousands of USD, exact in a float. E ≤ L·145u·gross; the
   blend of two sets of parameters adds roundings that are part of the 145.
5. The initial ratio is at most 2. In all E(initial + penalty) ≤ (2·(460 + 16.8·136 + 90 + 145·L) +
   123 + 16.8·136)u·gross ≤ (8_000 + 290·L)u·gross, E(equity) ≤ 140u·(worth + gross) + 2u·|money|,
   and the last additions less than 10u of each. So E ≤ (8_600 + 300·L)u·gross + 150u·worth +
   12u·|money|. TOLERANCE_SHARE = 2^-38 = 32,768u is more than three times that.
6. The model rounds each share to a wei: at most 12 times an underlying, once a spot position, and
   thrice in the end, doubled by the ratio: below 1,000 wei of TOLERANCE_WEI = 4,096.
7. The tolerance itself is a sum of positive terms and errs by a share of 140u.

For a million USD that is about 1e-5 USD, so almost nothing is too close. A worst case of open
orders (``model/open_margin.py``) takes the same steps with both ends in place of one delta; its
gross is that of both ends.

**What is left to spare.** Once an account was found to hold the worst of its open orders with S to
spare, the next orders are taken from S without asking again, until prices, parameters or its row
change by anything but its own fills (``Judge.has_spare``):

1. Of n lots more one end of an underlying moves by d = n·notional at most, orders that only reduce
   included. Scan rises by psr·d, and the saving falls by credit·psr·d at most (its last term is the
   larger of two sums, each of slope credit·psr); liquidity rises by L·d, doubt and the penalty by
   their rates, as they were counted when S was found, charges by theirs; all but the penalty count
   times the initial ratio. Equity falls by what the order costs. ``Slope`` adds these up, for the
   highest doubt and penalty of any instrument of the underlying, with a billionth on top for its
   own floats and 8,192 wei for the model's rounded shares.
2. An order that leaves only lowers what is required (the figures rise with every end), and what
   orders cost in all is below the sum of what each costs.
3. A fill of an order that was counted moves lots from its end into the position: no end moves
   outwards, and equity falls by no more than was counted as its cost. So S stays, and the row after
   it holds initial margin at the worst prices: the gate passes it unless a price is stale, there is
   grace, or the venue's debt stands at its cap.

Compiled kernels freeze these constants.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from novate import limits

Reals = npt.NDArray[np.float64]
Words = npt.NDArray[np.int64]

FAILS, PASSES, TOO_CLOSE = 0, 1, 2
TOLERANCE_SHARE = 2.0**-38
TOLERANCE_WEI = 4096.0
THOUSAND_USD = 1e21  # wei

# An instrument at one round: what a lot is worth and stands for (wei), rates
INSTRUMENT_COLUMNS = 8
(VALUE, NOTIONAL, CHARGE, CONFIDENCE, FALL, RISE) = range(6)
# Its word: the underlying, and whether it is spot or stale
UNDERLYING_MASK = limits.UNDERLYINGS_MAX - 1
SPOT_BIT, STALE_BIT = 16, 32

# An underlying: rates for maintenance (M) and initial margin (I), depth of new and old parameters
UNDERLYING_COLUMNS = 16
(PSR_M, PSR_I, CREDIT_M, CREDIT_I, HAIRCUT_M, HAIRCUT_I) = range(6)
(LOW, SPAN, DEPTH_MAX, LOW_OLD, SPAN_OLD, DEPTH_MAX_OLD, BLEND, WEIGHT) = range(6, 14)

# The venue
VENUE_COLUMNS = 4
(RATIO, CAP_M, CAP_I, GRACE) = range(4)

# An account: where its positions begin, how many it has, and has room for
ACCOUNT_COLUMNS = 3
(FIRST, COUNT, ROOM) = range(3)
# What it has and needs (wei), how far that may err, and the model's flags
STANDING_COLUMNS = 8
(MONEY, EQUITY, SPOT, MAINTENANCE, INITIAL, PENALTY, TOLERANCE, FLAGS) = range(8)

# A position: signed lots above an instrument's place. Its open orders: lots that buy, sell, and
# those that buy or sell only to reduce.
PLACE_BITS = 16
PLACE_MASK = 2**PLACE_BITS - 1
ORDER_COLUMNS = 4
(BUYS, SELLS, REDUCING_BUYS, REDUCING_SELLS) = range(4)
NO_PLACE = NOBODY = -1

# Sums over one underlying while an account is judged
SUM_COLUMNS = 8
(DELTA, GROSS, SPOTS, DOUBT, FALLING, RISING, HIGH) = range(7)
SUMS = limits.UNDERLYINGS_MAX * SUM_COLUMNS

# A question: an account, an instrument's place, lots, and of open orders the column they come to
QUESTION_COLUMNS = 4
(ASKED_ACCOUNT, ASKED_PLACE, ASKED_LOTS, ASKED_COLUMN) = range(4)
