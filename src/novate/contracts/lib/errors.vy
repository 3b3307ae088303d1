# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Rejections: one selector of `Name()` per entry of the registry `novate/errors.py`
@notice Made by tools/errors_vy.py; edit the registry, not this file.
"""

BadSignature: constant(bytes4) = 0x5cd5d233
NonceUsed: constant(bytes4) = 0x1f6d5aef
OrderExpired: constant(bytes4) = 0xc56873ba
OverFilled: constant(bytes4) = 0x88feb2b2
OffTick: constant(bytes4) = 0x1f050b2a
ZeroLots: constant(bytes4) = 0x9a26b659
UnknownInstrument: constant(bytes4) = 0x9c848c00
LimitPrice: constant(bytes4) = 0xedd2a800
SameSide: constant(bytes4) = 0x70c92b14
InstrumentMismatch: constant(bytes4) = 0xd8232486
FeeAboveMax: constant(bytes4) = 0x76a3f95d
StaleRevision: constant(bytes4) = 0x817e79d1
OrderCancelled: constant(bytes4) = 0xff55f944
PostOnly: constant(bytes4) = 0x208c56a8
NotExecutor: constant(bytes4) = 0xc32d1d76
ReceiptUsed: constant(bytes4) = 0xdbb5cada
BadReceipt: constant(bytes4) = 0x6f996f50
SessionKeyScope: constant(bytes4) = 0x9bef2b3d
SessionKeyBudget: constant(bytes4) = 0x0982abdd
WrongChain: constant(bytes4) = 0x10dfc033
UnknownAccount: constant(bytes4) = 0x8305be27
NotOwner: constant(bytes4) = 0x30cd7471
TooManyItems: constant(bytes4) = 0xd6ce5811
MalformedOrder: constant(bytes4) = 0xc5ee6dde
FillOrKill: constant(bytes4) = 0xf036595c
OrderNotOpen: constant(bytes4) = 0x206931ef
NotVenue: constant(bytes4) = 0x272a859f
SelfMatch: constant(bytes4) = 0x8eb30e70
PriceOutOfBand: constant(bytes4) = 0xa5f44447
Paused: constant(bytes4) = 0x9e87fac8
ReduceOnly: constant(bytes4) = 0x5b0f71a2
InsufficientMargin: constant(bytes4) = 0x41c092a9
PositionCap: constant(bytes4) = 0xc8af3e44
OpenInterestCap: constant(bytes4) = 0xbea65360
InAuction: constant(bytes4) = 0x266fe7fc
TooManyPositions: constant(bytes4) = 0x8431a15a
NotAscending: constant(bytes4) = 0x4781fe9b
NotAuthorized: constant(bytes4) = 0xea8e4eb5
LotsOutOfRange: constant(bytes4) = 0x2704934e
BadTerms: constant(bytes4) = 0x8dc59921
AlreadyListed: constant(bytes4) = 0xa3d582ec
DebtCap: constant(bytes4) = 0xb4dee1fa
FutureRound: constant(bytes4) = 0xff03e3e6
StaleRound: constant(bytes4) = 0x04d28871
RoundAlreadyPosted: constant(bytes4) = 0x6aedbf5c
QuorumNotReached: constant(bytes4) = 0xaa26a693
DuplicateSigner: constant(bytes4) = 0x8044bb33
FeedsNotAscending: constant(bytes4) = 0x6bdbfd0b
ZeroPrice: constant(bytes4) = 0x4dfba023
UnknownFeed: constant(bytes4) = 0xeabae707
StalePrice: constant(bytes4) = 0x19abf40e
RestartGrace: constant(bytes4) = 0x1a5cf235
RoundAlreadySigned: constant(bytes4) = 0x5a4df558
RoundNotHonest: constant(bytes4) = 0x590fea62
UnknownToken: constant(bytes4) = 0x8698bf37
AmountMismatch: constant(bytes4) = 0x55e97b0d
ZeroAmount: constant(bytes4) = 0x1f2a2005
DepositCap: constant(bytes4) = 0xef39d6b0
NotWholeLots: constant(bytes4) = 0xdd5b4571
NoRequest: constant(bytes4) = 0xcffd93ac
NotYet: constant(bytes4) = 0x0d3f7776
InsufficientCash: constant(bytes4) = 0xf630766b
TransferFailed: constant(bytes4) = 0x90b8ec18
RequestOpen: constant(bytes4) = 0x3a7c1aeb
RequestExpired: constant(bytes4) = 0xfef01cd2
NotLiquidatable: constant(bytes4) = 0xddeb79ba
AuctionOpen: constant(bytes4) = 0xa6aff629
NoAuction: constant(bytes4) = 0x71d00de2
SameBlock: constant(bytes4) = 0x6dde4588
OwnAccount: constant(bytes4) = 0xbb0b0172
BadFraction: constant(bytes4) = 0x5a052b32
HealthTooLow: constant(bytes4) = 0xdc50e571
RewardTooLow: constant(bytes4) = 0x256eeaad
HealthWorsened: constant(bytes4) = 0xd02336ba
NoDeficit: constant(bytes4) = 0x249609a6
LayersEmpty: constant(bytes4) = 0x551690f9
StillLiquidatable: constant(bytes4) = 0x51ca22ea
OutOfBounds: constant(bytes4) = 0xb4120f14
TooFast: constant(bytes4) = 0x73e6dcff
UnknownOperation: constant(bytes4) = 0x23f4b3e6
OperationExpired: constant(bytes4) = 0x74ed780a
AlreadyScheduled: constant(bytes4) = 0x02041a1b
CallFailed: constant(bytes4) = 0x3204506f
MissingParameter: constant(bytes4) = 0xf425d9e2
InvalidParameter: constant(bytes4) = 0x613970e0
JournalCorrupt: constant(bytes4) = 0xc0c07588
JournalTorn: constant(bytes4) = 0xa9e22452
JournalLocked: constant(bytes4) = 0xc9cc7b01
RecordTooLarge: constant(bytes4) = 0x3f30a19d
PriceFileMissing: constant(bytes4) = 0x5f822b00
PriceFileColumns: constant(bytes4) = 0x25eb7c46
PriceNotPositive: constant(bytes4) = 0x925cc2bc
PriceRowUnsorted: constant(bytes4) = 0x2e6c6858
PriceRowDuplicate: constant(bytes4) = 0x2a8ae623
PriceGap: constant(bytes4) = 0x962c3285
PriceRange: constant(bytes4) = 0x522c9000
PriceFileEmpty: constant(bytes4) = 0xbd1be015
PriceRowTime: constant(bytes4) = 0x04cd546a


@internal
@pure
def require(condition: bool, selector: bytes4):
    """@notice Revert with the four bytes of `selector` unless the condition holds."""
    if not condition:
        raw_revert(slice(convert(selector, bytes32), 0, 4))
