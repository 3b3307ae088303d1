# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title MockClearinghouse: takes every trade but those told to refuse, and remembers them
"""

terms: HashMap[uint256, uint256]
marks: HashMap[uint256, uint256]
expiries: HashMap[uint256, HashMap[uint256, uint256]]
forwards: HashMap[uint256, HashMap[uint256, uint256]]
refused: public(uint256)
calls: public(uint256)
accounts: public(DynArray[bytes32, 32])
instruments: public(DynArray[uint256, 16])
trades: public(DynArray[uint256[2], 100])


@external
def set_terms(instrument: uint256, word: uint256):
    self.terms[instrument] = word


@external
def set_refused(bitmap: uint256):
    self.refused = bitmap


@external
@view
def market(instrument: uint256) -> (uint256, uint256, uint256):
    return self.terms[instrument], 0, 0


@external
@view
def options() -> address:
    return self


@external
@view
def risk_model() -> address:
    return self


@external
@view
def expiry_of(underlying: uint256, slot: uint256) -> (uint256, uint256):
    return self.expiries[underlying][slot], self.forwards[underlying][slot]


@external
def set_expiry(underlying: uint256, slot: uint256, expiry: uint256, mark: uint256):
    self.expiries[underlying][slot] = expiry
    self.forwards[underlying][slot] = mark


@external
@view
def quoted(instrument: uint256) -> (uint256, uint256):
    return self.marks[instrument], 0


@external
def set_mark(instrument: uint256, mark: uint256):
    self.marks[instrument] = mark


@external
@view
def trade_count() -> uint256:
    return len(self.trades)


@external
def novate(
    accounts: DynArray[bytes32, 32],
    instruments: DynArray[uint256, 16],
    trades: DynArray[uint256[2], 100],
) -> uint256:
    self.calls += 1
    self.accounts = accounts
    self.instruments = instruments
    self.trades = trades
    return ((1 << len(trades)) - 1) & ~self.refused
