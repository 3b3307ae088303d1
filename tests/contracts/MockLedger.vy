# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title A small ledger for tests of what stands around the Clearinghouse
@notice Real sums, toy rules: instruments 1..8 with a settable mark a lot (1..6 perps, 7 and 8
        spot); maintenance margin is 10 % of the net notional plus a liquidity charge of 2 % of the
        gross, initial margin 1.25 times that. No roles: the Clearinghouse's own tests check those;
        here every caller of a privileged function is recorded.
"""

from interfaces import IClearinghouse
from interfaces import IRiskModel
from lib import errors
from lib import units

INSTRUMENTS: constant(uint256) = 8
SPOT_FROM: constant(uint256) = 7
HOLDERS_MAX: constant(uint256) = 16

cash: public(HashMap[bytes32, int256])
variation: public(HashMap[bytes32, int256])
gains: public(HashMap[bytes32, uint256])
lots: public(HashMap[bytes32, HashMap[uint256, int256]])
mark: public(HashMap[uint256, uint256])
bonus: public(HashMap[bytes32, uint256])
penalty: public(HashMap[bytes32, uint256])
in_auction: public(HashMap[bytes32, bool])
insurance: public(bytes32)
last_caller: public(address)
holders: DynArray[bytes32, HOLDERS_MAX]


@external
def set_mark(instrument: uint256, mark: uint256):
    self.mark[instrument] = mark


@external
def set_lots(account: bytes32, instrument: uint256, lots: int256):
    """@notice Open or change a position at the mark: equity stays."""
    change: int256 = lots - self.lots[account][instrument]
    self.variation[account] -= change * convert(self.mark[instrument], int256)
    self.lots[account][instrument] = lots


@external
def set_money(account: bytes32, cash: int256, gains: uint256):
    self.cash[account] = cash
    self.gains[account] = gains
    if gains != 0:
        self.holders.append(account)


@external
def settle(account: bytes32):
    """@notice Close every perp at its mark and turn variation into cash."""
    for instrument: uint256 in range(1, SPOT_FROM):
        lots: int256 = self.lots[account][instrument]
        self.variation[account] += lots * convert(self.mark[instrument], int256)
        self.lots[account][instrument] = 0
    self.cash[account] += self.variation[account]
    self.variation[account] = 0


@external
def set_corrections(account: bytes32, bonus: uint256, penalty: uint256):
    self.bonus[account] = bonus
    self.penalty[account] = penalty


@external
def set_insurance(account: bytes32):
    self.insurance = account


@external
@view
def market(instrument: uint256) -> (uint256, uint256, uint256):
    """@notice Terms of the spot instruments only: lots of 1e-4 base units."""
    kind: uint256 = 4 if instrument >= SPOT_FROM and instrument <= INSTRUMENTS else 0
    return 10**14 | (kind << 248), 0, 0


@external
@view
def account(account: bytes32) -> (uint256, uint256):
    first: uint256 = units.unsigned(self.cash[account], 2**120 - 1)
    first |= units.unsigned(self.variation[account], 2**120 - 1) << 120
    if self.in_auction[account]:
        first |= 1 << 248
    return first, 0


@external
@view
def positions(account: bytes32) -> DynArray[uint256, 32]:
    words: DynArray[uint256, 32] = []
    word: uint256 = 0
    count: uint256 = 0
    for instrument: uint256 in range(1, INSTRUMENTS + 1):
        lots: int256 = self.lots[account][instrument]
        if lots == 0:
            continue
        word |= ((instrument << 44) | convert(lots + 2**43, uint256)) << (64 * (count % 4))
        count += 1
        if count % 4 == 0:
            words.append(word)
            word = 0
    if word != 0:
        words.append(word)
    return words


@internal
@view
def _check(account: bytes32) -> IClearinghouse.Check:
    value: IRiskModel.Valuation = empty(IRiskModel.Valuation)
    net: int256 = 0
    gross: uint256 = 0
    count: uint256 = 0
    for instrument: uint256 in range(1, INSTRUMENTS + 1):
        lots: int256 = self.lots[account][instrument]
        if lots == 0:
            continue
        count += 1
        worth: int256 = lots * convert(self.mark[instrument], int256)
        net += worth
        gross += units.magnitude(worth)
        if instrument >= SPOT_FROM:
            value.value_spot += worth
        else:
            value.value_linear += worth
    value.liquidity = units.ppm_up(gross, 20_000)
    value.margin_maintenance = units.ppm_up(units.magnitude(net), 100_000) + value.liquidity
    value.margin_initial = units.ppm_up(value.margin_maintenance, 1_250_000)
    value.bonus = self.bonus[account]
    value.penalty = self.penalty[account]
    gains: int256 = convert(self.gains[account], int256)
    money: int256 = self.cash[account] + gains + self.variation[account]
    return IClearinghouse.Check(
        equity=money + value.value_linear + value.value_spot,
        cash=self.cash[account],
        positions=count,
        in_auction=self.in_auction[account],
        valuation=value,
    )


@internal
@view
def _gate(account: bytes32):
    check: IClearinghouse.Check = self._check(account)
    worst: int256 = check.equity - convert(check.valuation.penalty, int256)
    required: int256 = convert(check.valuation.margin_initial, int256)
    errors.require(worst >= required, errors.InsufficientMargin)


@external
def check(account: bytes32) -> IClearinghouse.Check:
    return self._check(account)


@external
def credit(account: bytes32, instrument: uint256, amount: uint256):
    self.last_caller = msg.sender
    if instrument == 0:
        self.cash[account] += convert(amount, int256)
    else:
        self.lots[account][instrument] += convert(amount, int256)


@external
def debit(account: bytes32, instrument: uint256, amount: uint256):
    self.last_caller = msg.sender
    errors.require(not self.in_auction[account], errors.InAuction)
    if instrument == 0:
        self.cash[account] -= convert(amount, int256)
    else:
        self.lots[account][instrument] -= convert(amount, int256)
    left: int256 = min(self.cash[account], self.lots[account][instrument])
    errors.require(left >= 0, errors.InsufficientCash)
    self._gate(account)


@external
def set_in_auction(account: bytes32, enabled: bool):
    self.last_caller = msg.sender
    self.in_auction[account] = enabled


@external
def transfer_slice(
    account: bytes32, bidder: bytes32, fraction_ppm: uint256, reward: uint256, fee: uint256
) -> IClearinghouse.Check:
    self.last_caller = msg.sender
    for instrument: uint256 in range(1, INSTRUMENTS + 1):
        lots: int256 = self.lots[account][instrument]
        moved: int256 = convert(units.ppm_up(units.magnitude(lots), fraction_ppm), int256)
        if lots < 0:
            moved = -moved
        worth: int256 = moved * convert(self.mark[instrument], int256)
        self.lots[account][instrument] -= moved
        self.lots[bidder][instrument] += moved
        self.variation[account] += worth
        self.variation[bidder] -= worth
    self.cash[account] -= convert(reward + fee, int256)
    self.cash[bidder] += convert(reward, int256)
    self.cash[self.insurance] += convert(fee, int256)
    self._gate(bidder)
    return self._check(account)


@external
def move_cash(source: bytes32, target: bytes32, amount: uint256):
    self.last_caller = msg.sender
    errors.require(self.cash[source] >= convert(amount, int256), errors.InsufficientCash)
    self.cash[source] -= convert(amount, int256)
    self.cash[target] += convert(amount, int256)


@external
def cut_gains(target: bytes32, amount: uint256) -> uint256:
    """@notice Pro rata over everyone with gains, each cut rounded down."""
    self.last_caller = msg.sender
    total: uint256 = 0
    for holder: bytes32 in self.holders:
        total += self.gains[holder]
    if total == 0:
        return 0
    paid: uint256 = 0
    for holder: bytes32 in self.holders:
        cut: uint256 = min(amount, total) * self.gains[holder] // total
        self.gains[holder] -= cut
        paid += cut
    self.cash[target] += convert(paid, int256)
    return paid
