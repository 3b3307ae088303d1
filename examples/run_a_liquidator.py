"""Run a liquidator: open auctions of accounts below their margin, and bid when the reward is right.

    NOVATE_KEY=0x… python examples/run_a_liquidator.py http://127.0.0.1:8080 http://127.0.0.1:8545

The venue's API only tells whom to look at; auctions and bids go to the chain, where nobody's
permission is needed. A bid takes over a share of everything the account holds, with the margin it
needs, and is paid the discount. What was bought is then traded away: see hedge_a_book.py.
"""

from __future__ import annotations

import os
import sys
import time

from eth_account import Account

from novate.chain.backend import abi_of
from novate.chain.client import CallReverted, RemoteContract
from novate.chain.client import Client as Chain
from novate.errors import Rejected
from novate.sdk import Client

DISCOUNT_MIN_PPM = 20_000  # bid from two percent of the maintenance margin on
SHARE_MAX_PPM = 250_000  # take at most a quarter at a time
HEALTH_MIN_PPM, REWARD_MIN = 0, 0


def work(auctioneer: RemoteContract, key: Account, account: str, in_auction: bool) -> bool:
    """Start the auction, or bid in it; whether something was bought."""
    raw = bytes.fromhex(account[2:])
    if not in_auction:
        auctioneer.transact("start", raw, key=key)
        print("started the auction of", account)
        return False
    equity, margin, discount, share, reward = auctioneer.call("quote", raw)
    print(
        f"equity {equity / 1e18:,.0f}, margin {margin / 1e18:,.0f}, discount {discount / 1e4:.1f} %"
    )
    if discount < DISCOUNT_MIN_PPM and equity > 0:
        return False
    mine = bytes.fromhex(key.address[2:]) + bytes(12)
    share = min(share, SHARE_MAX_PPM)
    auctioneer.transact("bid", raw, mine, share, HEALTH_MIN_PPM, REWARD_MIN, key=key)
    print(f"bought {share / 1e4:.1f} %, up to {reward / 1e18:,.0f} USD of reward")
    return True


def main(url: str, rpc: str, bids: int) -> None:
    """Look, start, bid; until so many bids went through."""
    key, chain = Account.from_key(os.environ["NOVATE_KEY"]), Chain.over_http(rpc)
    with Client(url) as venue:
        address = venue.call("public/get_domain")["contracts"]["auctioneer"]
        auctioneer = chain.attach(address, abi_of("Auctioneer"), "Auctioneer")
        while bids > 0:
            for row in venue.call("public/get_liquidatable"):
                try:
                    bids -= work(auctioneer, key, row["account"], row["in_auction"])
                except (Rejected, CallReverted) as refused:  # somebody was faster, or it recovered
                    print(refused)
                    chain.forget_nonces()
            time.sleep(1)
    chain.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1_000_000)
