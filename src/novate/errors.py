"""One registry of rejections: code, name, HTTP status, retryable, sentence.

A rejection is a value: the same name is the ABI error on chain (selector of ``Name()``), the code
on the wire and the sentence for people. Codes are partitioned by word: 1xxx input and order, 2xxx
settlement and margin, 3xxx oracle, 4xxx custody, 5xxx liquidation and waterfall, 6xxx governance,
7xxx journal and its replicas, 71xx chain and settlement service, 8xxx price and quote files, 9xxx
the API.
"""

from __future__ import annotations

from dataclasses import dataclass

from eth_utils.crypto import keccak


@dataclass(frozen=True, slots=True)
class Error:
    """A registered rejection."""

    code: int
    name: str
    http_status: int
    retryable: bool
    sentence: str

    @property
    def selector(self) -> int:
        """First four bytes of keccak(``Name()``), as the contracts revert with."""
        return int.from_bytes(keccak(f"{self.name}()".encode())[:4], "big")


class Rejected(Exception):
    """Carries one registered rejection out of a transaction that then changes nothing."""

    def __init__(self, error: Error, detail: str = "") -> None:
        super().__init__(
            f"{error.name} ({error.code}): {error.sentence}{' ' + detail if detail else ''}"
        )
        self.error = error
        self.detail = detail


REGISTRY: dict[str, Error] = {}
BY_SELECTOR: dict[int, Error] = {}
BY_CODE: dict[int, Error] = {}


def _register(code: int, name: str, http_status: int, retryable: bool, sentence: str) -> Error:
    error = Error(code, name, http_status, retryable, sentence)
    assert name not in REGISTRY and code not in BY_CODE and error.selector not in BY_SELECTOR
    REGISTRY[name] = BY_CODE[code] = BY_SELECTOR[error.selector] = error
    return error


def require(condition: bool, error: Error, detail: str = "") -> None:
    """Raise ``Rejected(error)`` unless the condition holds."""
    if not condition:
        raise Rejected(error, detail)


_r = _register

# 1xxx: orders
BadSignature = _r(
    1001,
    "BadSignature",
    401,
    False,
    "The signature is not by the account's owner or a live session key.",
)
NonceUsed = _r(1002, "NonceUsed", 409, False, "Another order already used this nonce.")
OrderExpired = _r(1003, "OrderExpired", 400, False, "The order's expiry has passed.")
OverFilled = _r(1004, "OverFilled", 409, False, "The fill exceeds the lots the order has left.")
OffTick = _r(1005, "OffTick", 400, False, "The price is not a multiple of the instrument's tick.")
ZeroLots = _r(1006, "ZeroLots", 400, False, "The size is zero lots.")
UnknownInstrument = _r(
    1007, "UnknownInstrument", 404, False, "No such instrument is listed for this use."
)
LimitPrice = _r(1008, "LimitPrice", 400, False, "The fill is worse than an order's limit price.")
SameSide = _r(1009, "SameSide", 400, False, "Both orders are on the same side.")
InstrumentMismatch = _r(
    1010, "InstrumentMismatch", 400, False, "The two orders name different instruments."
)
FeeAboveMax = _r(1011, "FeeAboveMax", 400, False, "The fee exceeds the order's signed maximum.")
StaleRevision = _r(1012, "StaleRevision", 409, False, "A newer revision of this order was seen.")
OrderCancelled = _r(1013, "OrderCancelled", 409, False, "The order was cancelled.")
PostOnly = _r(1014, "PostOnly", 400, False, "A post-only order cannot take.")
NotExecutor = _r(
    1015,
    "NotExecutor",
    403,
    True,
    "Only the order's executor may settle it before its exclusive window ends.",
)
ReceiptUsed = _r(1016, "ReceiptUsed", 409, False, "This match was already settled.")
BadReceipt = _r(
    1017,
    "BadReceipt",
    401,
    False,
    "The match receipt is not by the executor or not for these orders.",
)
SessionKeyScope = _r(1018, "SessionKeyScope", 403, False, "The session key may not do this.")
SessionKeyBudget = _r(
    1019, "SessionKeyBudget", 403, False, "The session key's notional or loss budget is spent."
)
WrongChain = _r(
    1020, "WrongChain", 400, False, "The order is signed for another chain or contract."
)
UnknownAccount = _r(1021, "UnknownAccount", 404, False, "The account is not known here.")
NotOwner = _r(1022, "NotOwner", 403, False, "Only the account's owner may do this.")
TooManyItems = _r(1023, "TooManyItems", 400, False, "The list is longer than its bound.")
MalformedOrder = _r(
    1024, "MalformedOrder", 400, False, "A field of the order is missing or out of range."
)
FillOrKill = _r(1025, "FillOrKill", 400, True, "The order cannot be filled completely at once.")
OrderNotOpen = _r(1026, "OrderNotOpen", 404, False, "The order is not in the book.")
NoImpliedVolatility = _r(
    1027,
    "NoImpliedVolatility",
    400,
    False,
    "No volatility gives this price: it is outside the bounds without arbitrage.",
)
BookFull = _r(1028, "BookFull", 503, True, "The book has no room for another order.")
OrderExists = _r(1029, "OrderExists", 409, False, "An open order already has this identity.")
PriceOutOfLadder = _r(
    1030, "PriceOutOfLadder", 400, False, "The price is outside the range that the book covers."
)
WouldTrigger = _r(1031, "WouldTrigger", 400, True, "The mark already meets the order's trigger.")
QuotesFrozen = _r(
    1032, "QuotesFrozen", 409, True, "The maker's protection froze its quotes until it is reset."
)
ClientOrderIdUsed = _r(
    1033, "ClientOrderIdUsed", 409, False, "Another open order of the account has this id."
)
OutlivesInstrument = _r(
    1040, "OutlivesInstrument", 400, False, "The order expires after what it trades has expired."
)

# 2xxx: settlement and margin
NotVenue = _r(2001, "NotVenue", 403, False, "The caller is not an approved venue.")
SelfMatch = _r(2002, "SelfMatch", 400, False, "Maker and taker have the same owner.")
PriceOutOfBand = _r(
    2003, "PriceOutOfBand", 400, True, "The price is outside the band around the mark."
)
Paused = _r(2004, "Paused", 503, True, "Trades in which neither side reduces are paused.")
ReduceOnly = _r(
    2005, "ReduceOnly", 400, False, "A reduce-only order would not reduce the position."
)
InsufficientMargin = _r(
    2006,
    "InsufficientMargin",
    400,
    True,
    "The account would be below its initial margin and worse off than before.",
)
PositionCap = _r(2007, "PositionCap", 400, True, "The position would exceed its cap.")
OpenInterestCap = _r(2008, "OpenInterestCap", 400, True, "Open interest would exceed its cap.")
InAuction = _r(
    2009, "InAuction", 409, True, "The account is in a liquidation auction and may only deposit."
)
TooManyPositions = _r(
    2010, "TooManyPositions", 400, False, "The account would hold more positions than allowed."
)
NotAscending = _r(2011, "NotAscending", 400, False, "The list must be strictly ascending.")
NotAuthorized = _r(2012, "NotAuthorized", 403, False, "The caller may not do this.")
LotsOutOfRange = _r(
    2013, "LotsOutOfRange", 400, False, "The position or open interest would overflow."
)
BadTerms = _r(2014, "BadTerms", 400, False, "The instrument's terms are inconsistent.")
AlreadyListed = _r(2015, "AlreadyListed", 409, False, "The instrument is already listed.")
DebtCap = _r(2016, "DebtCap", 400, True, "Cash below zero is at its cap for the whole venue.")
StrikeOffGrid = _r(
    2017, "StrikeOffGrid", 400, False, "The strike is not a multiple of the underlying's step."
)
ExpiryOffGrid = _r(
    2018,
    "ExpiryOffGrid",
    400,
    False,
    "The expiry is past, beyond the longest tenor, or not at a time of the underlying's grid.",
)
StrikeOutOfRange = _r(
    2019, "StrikeOutOfRange", 400, True, "The strike is not within a fifth and five forwards."
)
ListingClosed = _r(
    2020, "ListingClosed", 403, True, "No options of this underlying may be listed now."
)
SlotInUse = _r(
    2021,
    "SlotInUse",
    409,
    True,
    "The options listed there before have not expired, or some are still open.",
)

# 3xxx: oracle
FutureRound = _r(3001, "FutureRound", 400, True, "The round's timestamp is in the future.")
StaleRound = _r(
    3002,
    "StaleRound",
    400,
    False,
    "The round is older than the last one or than the staleness limit.",
)
RoundAlreadyPosted = _r(3003, "RoundAlreadyPosted", 409, True, "A transaction may post one round.")
QuorumNotReached = _r(
    3004, "QuorumNotReached", 400, True, "The round has fewer signatures than the quorum."
)
DuplicateSigner = _r(3005, "DuplicateSigner", 400, False, "A node signed the round twice.")
FeedsNotAscending = _r(3006, "FeedsNotAscending", 400, False, "Feeds must be strictly ascending.")
ZeroPrice = _r(3007, "ZeroPrice", 400, False, "A price is zero.")
UnknownFeed = _r(3008, "UnknownFeed", 404, False, "The feed is not registered.")
StalePrice = _r(3009, "StalePrice", 503, True, "The price is too old for this action.")
RestartGrace = _r(
    3010,
    "RestartGrace",
    503,
    True,
    "Prices have just resumed after an outage; this action waits for the grace period.",
)
RoundAlreadySigned = _r(
    3011,
    "RoundAlreadySigned",
    409,
    False,
    "This node already signed another vector for this round, or a later round.",
)
RoundNotHonest = _r(
    3012,
    "RoundNotHonest",
    400,
    False,
    "The proposed vector does not follow from signed observations, or strays from this node's own.",
)
ButterflyArbitrage = _r(
    3013,
    "ButterflyArbitrage",
    400,
    False,
    "A slice of the volatility surface implies a negative probability.",
)
CalendarArbitrage = _r(
    3014,
    "CalendarArbitrage",
    400,
    False,
    "A later expiry of the volatility surface is worth less than an earlier one.",
)
SurfaceJump = _r(
    3015,
    "SurfaceJump",
    400,
    True,
    "The volatility surface moves further than the time since its last update allows.",
)
SurfaceOutOfBounds = _r(
    3016,
    "SurfaceOutOfBounds",
    400,
    False,
    "Volatility, skew, tenor or a reserved bit of the surface is outside its bounds.",
)
SurfaceNotHonest = _r(
    3017,
    "SurfaceNotHonest",
    400,
    False,
    "The proposed volatility surface strays from this node's own quotes.",
)
MissingExpiry = _r(
    3018,
    "MissingExpiry",
    400,
    False,
    "The volatility surface lacks an expiry that is still active.",
)
ExpiryPassed = _r(
    3019, "ExpiryPassed", 400, False, "An expiry of the volatility surface has already passed."
)
UnknownUnderlying = _r(
    3020, "UnknownUnderlying", 404, False, "The underlying is not registered for surfaces."
)
StaleSurface = _r(
    3021,
    "StaleSurface",
    503,
    True,
    "The volatility surface has no slice of this expiry, or it is too old.",
)
ExpiryNotReached = _r(3022, "ExpiryNotReached", 425, True, "The expiry has not been reached yet.")
MissingPrint = _r(
    3023, "MissingPrint", 425, True, "No settlement price of this expiry has been posted yet."
)
SettlementNotHonest = _r(
    3024,
    "SettlementNotHonest",
    400,
    False,
    "The proposed settlement price strays from this node's own mean.",
)

# 4xxx: custody
UnknownToken = _r(4001, "UnknownToken", 404, False, "The token is not accepted.")
AmountMismatch = _r(
    4002,
    "AmountMismatch",
    400,
    False,
    "The token moved another amount than asked (fee or rebase); it is refused.",
)
ZeroAmount = _r(4003, "ZeroAmount", 400, False, "The amount is zero.")
DepositCap = _r(4004, "DepositCap", 400, True, "The token's deposit cap is reached.")
NotWholeLots = _r(4005, "NotWholeLots", 400, False, "The amount is not a whole number of lots.")
NoRequest = _r(4006, "NoRequest", 404, False, "There is no such withdrawal request.")
NotYet = _r(4007, "NotYet", 425, True, "The notice or the queue has not passed yet.")
InsufficientCash = _r(
    4008, "InsufficientCash", 400, False, "The account has not that much free cash."
)
TransferFailed = _r(4009, "TransferFailed", 502, True, "The token refused the transfer.")
RequestOpen = _r(
    4010,
    "RequestOpen",
    409,
    False,
    "The account already has an open withdrawal request for this token.",
)
RequestExpired = _r(
    4011,
    "RequestExpired",
    410,
    False,
    "The withdrawal was not executed in its window; request it again.",
)

# 5xxx: liquidation and waterfall
NotLiquidatable = _r(
    5001, "NotLiquidatable", 400, True, "The account is not below its maintenance margin."
)
AuctionOpen = _r(5002, "AuctionOpen", 409, False, "The account's auction is already open.")
NoAuction = _r(5003, "NoAuction", 404, False, "The account is not in an auction.")
SameBlock = _r(5004, "SameBlock", 425, True, "An auction cannot be opened and bid on in one block.")
OwnAccount = _r(5005, "OwnAccount", 400, False, "A bidder cannot buy its own owner's account.")
BadFraction = _r(
    5006, "BadFraction", 400, False, "The fraction is zero or above what the auction sells now."
)
HealthTooLow = _r(5007, "HealthTooLow", 409, True, "The account's health is below the bid's limit.")
RewardTooLow = _r(5008, "RewardTooLow", 409, True, "The reward is below the bid's limit.")
HealthWorsened = _r(
    5009, "HealthWorsened", 409, False, "The slice would worsen the account's health."
)
NoDeficit = _r(5010, "NoDeficit", 400, False, "There is no deficit to cover.")
LayersEmpty = _r(
    5011, "LayersEmpty", 409, True, "The layers before the haircut are empty; its window is open."
)
StillLiquidatable = _r(
    5012, "StillLiquidatable", 409, True, "The account is still below its maintenance margin."
)

# 6xxx: governance
OutOfBounds = _r(6001, "OutOfBounds", 400, False, "The value is outside its compiled-in bounds.")
TooFast = _r(6002, "TooFast", 425, True, "The parameter may not move this far this soon.")
UnknownOperation = _r(6003, "UnknownOperation", 404, False, "The operation is not scheduled.")
OperationExpired = _r(
    6004, "OperationExpired", 410, False, "The operation was not executed in its window."
)
AlreadyScheduled = _r(6005, "AlreadyScheduled", 409, False, "The operation is already scheduled.")
CallFailed = _r(6006, "CallFailed", 502, False, "The scheduled call failed.")
MissingParameter = _r(
    6007, "MissingParameter", 400, False, "A parameter is missing from the configuration."
)
InvalidParameter = _r(
    6008, "InvalidParameter", 400, False, "A parameter of the configuration is not allowed."
)

# 7xxx: journal
JournalCorrupt = _r(7001, "JournalCorrupt", 500, False, "The journal's hash chain is broken.")
JournalTorn = _r(7002, "JournalTorn", 500, True, "The journal's last record is incomplete.")
JournalLocked = _r(7003, "JournalLocked", 503, True, "Another process is writing this journal.")
RecordTooLarge = _r(7004, "RecordTooLarge", 413, False, "The record exceeds the journal's bound.")
JournalFull = _r(
    7005, "JournalFull", 507, True, "The journal's disk is full; what is written stays readable."
)
JournalReadOnly = _r(
    7006, "JournalReadOnly", 503, True, "The journal's disk takes no writes; reads go on."
)
JournalFenced = _r(
    7007, "JournalFenced", 503, False, "Another process has taken this journal over."
)
SnapshotUnusable = _r(
    7008, "SnapshotUnusable", 500, False, "The snapshot is not used; the journal is replayed."
)
ReplicaDiverged = _r(
    7020,
    "ReplicaDiverged",
    500,
    False,
    "Chain and model came to different ends; the replica stops before the transaction.",
)
NoTwin = _r(
    7021,
    "NoTwin",
    501,
    False,
    "The chain changed in a way that the model cannot follow; the replica stops there.",
)
IndexOutOfOrder = _r(
    7030,
    "IndexOutOfOrder",
    409,
    False,
    "A record or transaction does not follow the last one that the index holds.",
)
IndexInconsistent = _r(
    7031,
    "IndexInconsistent",
    500,
    False,
    "A record contradicts those before it; the index stops before it.",
)
IndexForeign = _r(
    7032,
    "IndexForeign",
    409,
    False,
    "The database belongs to another journal, venue or schema; rebuild it or name another.",
)
IndexBusy = _r(7033, "IndexBusy", 503, True, "Another process is writing this index.")
IndexUnavailable = _r(7034, "IndexUnavailable", 503, True, "The index's database refuses.")
UnknownRecord = _r(
    7035,
    "UnknownRecord",
    501,
    False,
    "The journal holds a kind of record that this release does not know.",
)
BadQuery = _r(7036, "BadQuery", 400, False, "A query's argument is malformed or out of bounds.")

# 71xx: chain and settlement service
NodeOnWrongChain = _r(
    7101, "NodeOnWrongChain", 502, True, "The node is on another chain than the venue."
)
NodeLied = _r(7102, "NodeLied", 502, True, "The node's answers contradict each other.")
NodeSilent = _r(7103, "NodeSilent", 504, True, "The node did not answer in time.")
ReorgTooDeep = _r(
    7104, "ReorgTooDeep", 500, False, "More blocks left the chain than the venue can take back."
)
BatchReverted = _r(
    7105, "BatchReverted", 500, False, "The transactions that carried this fill reverted."
)

# 8xxx: price files
PriceFileMissing = _r(8001, "PriceFileMissing", 400, False, "The price file cannot be read.")
PriceFileColumns = _r(8002, "PriceFileColumns", 400, False, "The price file lacks a column.")
PriceNotPositive = _r(
    8003,
    "PriceNotPositive",
    400,
    False,
    "A price is zero, negative or not a number; the row is skipped.",
)
PriceRowUnsorted = _r(
    8004, "PriceRowUnsorted", 400, False, "A row is out of time order; rows are sorted."
)
PriceRowDuplicate = _r(
    8005, "PriceRowDuplicate", 400, False, "A row repeats a timestamp; the first one counts."
)
PriceGap = _r(8006, "PriceGap", 400, False, "Bars are missing; the node is silent there.")
PriceRange = _r(
    8007,
    "PriceRange",
    400,
    False,
    "High, low, open and close contradict each other; the row is skipped.",
)
PriceFileEmpty = _r(8008, "PriceFileEmpty", 400, False, "No usable row is left.")
PriceRowTime = _r(
    8009, "PriceRowTime", 400, False, "A timestamp cannot be read; the row is skipped."
)
QuoteFileMissing = _r(8010, "QuoteFileMissing", 400, False, "The quote file cannot be read.")
QuoteColumns = _r(8011, "QuoteColumns", 400, False, "The quote file lacks a column.")
QuoteRowBad = _r(
    8012,
    "QuoteRowBad",
    400,
    False,
    "A time, strike, forward or side of a quote cannot be read; the row is skipped.",
)
QuoteOneSided = _r(
    8013, "QuoteOneSided", 400, False, "A quote lacks its bid or its ask; the row is skipped."
)
QuoteCrossed = _r(8014, "QuoteCrossed", 400, False, "The bid is above the ask; the row is skipped.")
QuoteNoVolatility = _r(
    8015,
    "QuoteNoVolatility",
    400,
    False,
    "No volatility up to 800 % gives the quoted price; the row is skipped.",
)
QuotesTooFew = _r(
    8016, "QuotesTooFew", 400, False, "The quotes are too few to fit a slice; it is left out."
)
VectorFileMissing = _r(
    8020, "VectorFileMissing", 400, False, "The file of reference cases cannot be read."
)
VectorField = _r(
    8021, "VectorField", 400, False, "A reference case lacks a field, or it is not a number."
)
PortfolioFileMissing = _r(
    8030, "PortfolioFileMissing", 400, False, "The portfolio or market file cannot be read."
)
PortfolioField = _r(
    8031,
    "PortfolioField",
    400,
    False,
    "A field of the portfolio or market is missing, unknown or out of bounds.",
)
PortfolioDuplicate = _r(
    8032, "PortfolioDuplicate", 400, False, "The portfolio names an instrument twice."
)
MarketIncomplete = _r(
    8033, "MarketIncomplete", 400, False, "The market lacks a price or volatility of an instrument."
)

# 9xxx: the API
MalformedMessage = _r(
    9001, "MalformedMessage", 400, False, "The message is not a JSON-RPC request."
)
UnknownMethod = _r(9002, "UnknownMethod", 404, False, "There is no such method.")
InvalidField = _r(9003, "InvalidField", 400, False, "A parameter is missing or not allowed.")
NotAuthenticated = _r(
    9004, "NotAuthenticated", 401, False, "The method needs authentication first."
)
ScopeMissing = _r(
    9005, "ScopeMissing", 403, False, "The session's scope does not allow the method."
)
TooManyRequests = _r(
    9006, "TooManyRequests", 429, True, "The rate limit is used up; wait a moment."
)
UnknownChannel = _r(9007, "UnknownChannel", 404, False, "There is no such channel.")
OrderNotFound = _r(9008, "OrderNotFound", 404, False, "There is no such order of this account.")
OutcomeUnknown = _r(
    9009,
    "OutcomeUnknown",
    504,
    True,
    "The outcome is not known yet; ask for the order by its digest.",
)
Overloaded = _r(9010, "Overloaded", 503, True, "The venue sheds load; cancels are still taken.")
ClockSkew = _r(9011, "ClockSkew", 400, False, "The timestamp is too far from the venue's clock.")
MessageTooLarge = _r(9012, "MessageTooLarge", 413, False, "The message exceeds the bound.")
TooManyConnections = _r(
    9013,
    "TooManyConnections",
    429,
    True,
    "The venue, or the address, has too many connections open.",
)
SlowConsumer = _r(9014, "SlowConsumer", 429, True, "The client reads slower than it subscribed to.")
InternalFault = _r(9015, "InternalFault", 500, True, "The venue failed to answer; it is recorded.")
RfqNotFound = _r(
    9090, "RfqNotFound", 404, False, "There is no such open request for quotes; it may be over."
)
QuoteNotFound = _r(9091, "QuoteNotFound", 404, False, "There is no such open quote; ask again.")
RfqLimit = _r(
    9092, "RfqLimit", 429, True, "Too many requests or quotes are open; cancel one or wait."
)
QuoteMismatch = _r(
    9093, "QuoteMismatch", 400, False, "The signed orders are not those of the request or quote."
)
BlockOnly = _r(
    9094, "BlockOnly", 400, False, "The order is signed for blocks alone, or for the book alone."
)
NoConsent = _r(
    9095,
    "NoConsent",
    403,
    False,
    "The consent to the block is not signed by who signed its orders.",
)
BlockExpired = _r(9096, "BlockExpired", 400, False, "The quote or the consent to it has expired.")
TradedSince = _r(
    9097, "TradedSince", 409, True, "The account has traded since what you have seen; look again."
)
Unavailable = _r(9098, "Unavailable", 503, False, "This venue was started without what it needs.")
