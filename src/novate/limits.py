"""Every bound of the settlement layer in one place (the Vyper twin repeats them as constants; a
test compares).
"""

from __future__ import annotations

ACCOUNTS_PER_BATCH_MAX = 32
INSTRUMENTS_PER_BATCH_MAX = 16
BLOCK_LEGS_MAX = 8
TRADES_PER_BATCH_MAX = 100
ORDERS_PER_BATCH_MAX = 120
FILLS_PER_BATCH_MAX = 100
RECEIPTS_PER_BATCH_MAX = 16
ROUND_CALL_BYTES_MAX = 2_112
POSITIONS_PER_ACCOUNT_MAX = 128
POSITION_WORDS_MAX = POSITIONS_PER_ACCOUNT_MAX // 4
UNDERLYINGS_MAX = 16
PERPS_MAX = 64
FEEDS_MAX = 256
OBSERVATIONS_PER_ROUND_MAX = 32
ORACLE_NODES_MAX = 19
SIGNATURES_PER_ROUND_MAX = 13
LOTS_MAX = 2**43 - 1
ORDERS_WAITING_MAX = 10_000  # for a trigger, an instrument
# The engine matches no order, and no session key's, with less left, for it must still settle: 2 s
# that the batch may be open (engine/clock.py), 6 s to send it and for two or three blocks, 2 s by
# which a block's clock may be ahead of the gateway's.
EXPIRY_ROOM_S = 10
EARLIER_EXPIRY_ROOM_S = 5  # the same in journals of rules 1
INSTRUMENT_ID_MAX = 2**20 - 1
SIGNATURE_BLOB_BYTES_MAX = 1024
SIGNATURE_BLOBS_PER_BATCH_MAX = 4
CONTRACT_WALLET_GAS_MAX = 150_000
CONTRACT_SIZE_BYTES_MAX = 24_576
AVERAGE_WINDOW_S = 900
STALE_WIDENING_PPM_MAX = 200_000
