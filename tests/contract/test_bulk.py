"""Proofs of bulk orders on chain: by themselves, then in the Exchange's batches."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from coincurve import PrivateKey

from novate.chain.harness import CHAIN_ID, CallReverted, Chain
from novate.errors import Rejected
from novate.model.order import IMMEDIATE, POST_ONLY, Order
from novate.services.calldata import Reader
from novate.wire import eip712
from novate.wire.bulk import BLANK, BulkOrders, BulkSignature, sign_bulk
from novate.wire.order import (
    PackedBatch,
    Place,
    SignedFill,
    SignedOrder,
    limit_words,
    order_words,
    pack,
    recovered,
)
from tests.support.exchange import (
    MOCKS,
    PRICE,
    Desk,
    account_of,
    address_of,
    as_bytes,
    key_of,
    open_to_anyone,
)
from tests.support.wallet import random_order

KEY = PrivateKey(b"\x07" * 32)
OWNER = eip712.address_of(KEY.public_key)
ACCOUNT = int(OWNER, 16) << 96
EXECUTOR = "0x" + "cd" * 20
NOBODY = "0x" + "00" * 20
Words = tuple[int, int, int, int]


class Prover:
    """The contract that proves, and the last words and proofs it was given."""

    def __init__(self) -> None:
        self.chain = Chain()
        self.contract = self.chain.deploy("BulkProof", root=MOCKS)
        self.separator = eip712.Domain(CHAIN_ID, self.contract.address).separator()

    def sign(self, count: int) -> BulkOrders:
        fields = [(10 - 20 * (i & 1), i) for i in range(count)]
        orders = [
            Order(ACCOUNT, 1, lots, PRICE, 10**18, i, 2**39, executor=EXECUTOR)
            for lots, i in fields
        ]
        return sign_bulk(KEY, self.separator, orders)

    def signers(
        self, words: list[Words], blob: bytes, proofs: bytes, account: int = ACCOUNT
    ) -> list[str]:
        """Who signed each, all in one transaction."""
        arguments = words, as_bytes(account), 1, EXECUTOR, blob
        data = self.contract.abi.encode_call("signers", *arguments) + proofs
        output = self.chain.send(OWNER, self.contract.address, data)
        found: list[str] = self.contract.abi.decode_result("signers", 5, output)
        return [address.lower() for address in found]

    def one(self, order: Order, share: BulkSignature) -> str:
        """Who signed an order with this share."""
        words = order_words(SignedOrder(order, bulk=share), 0, 0, proof=len(share.siblings))
        return self.signers([words], blob_of(share), b"".join(share.siblings))[0]


def blob_of(share: BulkSignature) -> bytes:
    return share.r.to_bytes(32, "big") + share.vs.to_bytes(32, "big")


@pytest.fixture
def prover() -> Prover:
    return Prover()


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_leaf_is_the_struct_hash_of_its_order(prover: Prover) -> None:
    rng = random.Random(5)
    for _ in range(30):
        order = random_order(rng, EXECUTOR)
        words = limit_words(order, 0, 0, False, Place(8, rng.getrandbits(8), rng.getrandbits(10)))
        arguments = *words, as_bytes(order.account), order.instrument, EXECUTOR
        assert prover.contract.view("leaf", *arguments) == eip712.order_hash(order)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 9, 17, 33, 65, 129, 256])
def test_an_order_of_a_tree_of_every_height_has_its_signer(prover: Prover, count: int) -> None:
    signed = prover.sign(count)
    for index in {0, count // 2, count - 1}:
        assert prover.one(signed.orders[index], signed.signature(index)) == OWNER


@pytest.mark.parametrize("level", range(4))
def test_a_changed_sibling_or_side_proves_nothing(prover: Prover, level: int) -> None:
    signed = prover.sign(9)
    order, share = signed.orders[6], signed.signature(6)
    siblings = list(share.siblings)
    siblings[level] = eip712.keccak(b"foreign")
    assert prover.one(order, replace(share, siblings=tuple(siblings))) != OWNER
    assert prover.one(order, replace(share, index=6 ^ 1 << level)) != OWNER


def test_another_order_account_or_venue_proves_nothing(prover: Prover) -> None:
    signed = prover.sign(4)
    share = signed.signature(1)
    assert prover.one(signed.orders[2], share) != OWNER
    assert prover.one(replace(signed.orders[1], price=PRICE + 1), share) != OWNER
    words = order_words(SignedOrder(signed.orders[1], bulk=share), 0, 0, proof=2)
    proof = b"".join(share.siblings)
    assert prover.signers([words], blob_of(share), proof, account=ACCOUNT + 1) != [OWNER]
    prover.separator = eip712.Domain(1, prover.contract.address).separator()
    assert prover.one(signed.orders[1], prover.sign(4).signature(1)) != OWNER


def test_a_tree_cut_at_its_nodes_proves_nothing(prover: Prover) -> None:
    """The second preimage: neither a shorter nor a longer path has the type that was signed."""
    signed = prover.sign(4)
    order, share = signed.orders[0], signed.signature(0)
    assert prover.one(order, replace(share, siblings=share.siblings[:1])) != OWNER
    longer = (*share.siblings, eip712.keccak(b"more"))
    assert prover.one(order, replace(share, siblings=longer)) != OWNER


def test_a_path_higher_than_eight_has_no_signer(prover: Prover) -> None:
    signed = prover.sign(256)
    share = signed.signature(0)
    for more in range(1, 8):
        higher = replace(share, siblings=share.siblings + (bytes(32),) * more)
        assert prover.one(signed.orders[0], higher) == NOBODY


def test_bits_of_the_index_above_the_height_are_not_read(prover: Prover) -> None:
    signed = prover.sign(4)
    assert prover.one(signed.orders[1], replace(signed.signature(1), index=0b101)) == OWNER


def test_a_proof_beyond_the_calldata_reverts(prover: Prover) -> None:
    signed = prover.sign(4)
    share = signed.signature(1)
    proof = b"".join(share.siblings)
    for words_back in (1, 0, 1023):
        signed_order = SignedOrder(signed.orders[1], bulk=share)
        words = order_words(signed_order, 0, 0, proof=words_back)
        with pytest.raises(CallReverted):
            prover.signers([words], blob_of(share), proof)


def test_a_signature_beyond_its_blob_reverts(prover: Prover) -> None:
    signed = prover.sign(4)
    share = signed.signature(1)
    proof, blob = b"".join(share.siblings), bytes(7) + blob_of(share)
    for offset, expected in ((7, [OWNER]), (0, None)):
        words = order_words(SignedOrder(signed.orders[1], bulk=share), 0, 0, 0, offset, 2)
        found = prover.signers([words], blob, proof)
        assert found == expected or (expected is None and found != [OWNER])
    for offset in (8, 71, 2**256 - 32):
        words = order_words(SignedOrder(signed.orders[1], bulk=share), 0, 0, 0, offset, 2)
        with pytest.raises(CallReverted):
            prover.signers([words], blob, proof)


def two(signed: BulkOrders, index: int) -> tuple[list[Words], bytes]:
    """Words and proofs of the first order and of another."""
    shares, height = (signed.signature(0), signed.signature(index)), signed.height
    orders = signed.orders[0], signed.orders[index]
    words = [
        order_words(SignedOrder(order, bulk=share), 0, 0, 0, 0, height * left)
        for order, share, left in zip(orders, shares, (2, 1), strict=True)
    ]
    return words, b"".join(shares[0].siblings + shares[1].siblings)


def test_a_root_is_recovered_once_in_a_transaction(prover: Prover) -> None:
    signed = prover.sign(9)
    words, proofs = two(signed, 8)
    by_thief = eip712.sign(PrivateKey(b"\x09" * 32), signed.digest(prover.separator))
    blob = blob_of(signed.signature(0)) + b"".join(w.to_bytes(32, "big") for w in by_thief)
    gas = []
    for offset in (0, 64):
        found = prover.signers([words[0], (*words[1][:3], offset)], blob, proofs)
        assert found[0] == OWNER and (found[1] == OWNER) == (offset == 0)
        gas.append(prover.chain.gas_used)
    assert gas[0] < gas[1] - 3_000, "the second signature costs another ecrecover, the first not"


def test_what_is_known_of_a_root_vouches_for_its_own_orders_only(prover: Prover) -> None:
    signed = prover.sign(4)
    words, proofs = two(signed, 1)
    blob = blob_of(signed.signature(0))
    foreign = limit_words(replace(signed.orders[1], lots=11), 0, 0, False, Place(2, 1, 2))
    for wrong in (foreign, limit_words(signed.orders[1], 0, 0, False, Place(2, 0, 2))):
        found = prover.signers([words[0], (*wrong, 0, 0)], blob, proofs)
        assert found[0] == OWNER != found[1]


def test_another_signature_of_a_known_root_is_not_taken_for_the_first(prover: Prover) -> None:
    signed = prover.sign(4)
    words, proofs = two(signed, 1)
    thief = PrivateKey(b"\x09" * 32)
    by_thief = eip712.sign(thief, signed.digest(prover.separator))
    spoilt = signed.r, eip712.HALF_ORDER + 1
    pairs = ((signed.r, signed.vs), by_thief, spoilt)
    blob = b"".join(word.to_bytes(32, "big") for pair in pairs for word in pair)
    moved = [(*words[1][:3], 64 * place) for place in range(3)]
    answers = [OWNER, eip712.address_of(thief.public_key), NOBODY]
    assert prover.signers([words[0], *moved], blob, proofs) == [OWNER, *answers]
    assert prover.signers(moved[::-1], blob, proofs) == answers[::-1]


# --- in the Exchange


def test_orders_of_two_trees_and_single_ones_settle_together(desk: Desk) -> None:
    makers = desk.signed_in_bulk(
        *[desk.order("maker", -10, nonce=n) for n in range(20)], signer="maker"
    )
    takers = desk.signed_in_bulk(
        *[desk.order("taker", 5, nonce=n, flags=IMMEDIATE) for n in range(3)], signer="taker"
    )
    single = desk.signed("taker", 10, nonce=7)
    fills = [SignedFill(taker, makers[4 * i], 5, PRICE) for i, taker in enumerate(takers)]
    batch = pack([*fills, SignedFill(single, makers[19], 5, PRICE)])
    assert [len(blob) for blob in batch.blobs] == [2 * 64]
    assert len(batch.proofs) == 32 * (4 * 5 + 3 * 2)
    assert desk.settle(*fills, SignedFill(single, makers[19], 5, PRICE)) == 0b1111
    assert [desk.filled("maker", n) for n in (0, 4, 8, 19, 1)] == [5, 5, 5, 5, 0]


def test_an_order_of_a_tree_fills_up_and_is_cancelled_by_itself(desk: Desk) -> None:
    makers = desk.signed_in_bulk(
        *[desk.order("maker", -10, nonce=n) for n in range(4)], signer="maker"
    )
    taker = desk.signed("taker", 40)
    assert desk.settle(SignedFill(taker, makers[1], 10, PRICE)) == 1
    assert desk.settle(SignedFill(taker, makers[1], 1, PRICE)) == 0
    assert desk.codes() == {0: "OverFilled"}
    owner = address_of("maker")
    desk.exchange.call("cancel", as_bytes(account_of("maker")), 2, sender=owner)
    desk.chain.advance(61)
    fills = [SignedFill(taker, makers[n], 5, PRICE) for n in (2, 3)]
    assert desk.settle(*fills) == 0b10
    assert desk.codes() == {0: "OrderCancelled"}


def test_an_expired_order_does_not_take_its_tree_along(desk: Desk) -> None:
    late = desk.order("maker", -10, nonce=0, expiry=desk.now - 1)
    makers = desk.signed_in_bulk(late, desk.order("maker", -10, nonce=1), signer="maker")
    taker = desk.signed("taker", 20)
    fills = [SignedFill(taker, maker, 5, PRICE) for maker in makers]
    assert desk.settle(*fills) == 0b10
    assert desk.codes() == {0: "OrderExpired"}


@pytest.mark.parametrize("case", ["thief", "another account", "foreign proof", "no signature"])
def test_an_order_that_no_tree_of_its_owner_holds_is_skipped(desk: Desk, case: str) -> None:
    orders = [desk.order("maker", -10, nonce=n) for n in range(4)]
    signer = "thief" if case == "thief" else "maker"
    if case == "another account":
        orders[1] = replace(orders[1], account=account_of("victim"))
    makers = desk.signed_in_bulk(*orders, signer=signer)
    share = makers[1].bulk
    assert share is not None
    if case == "foreign proof":
        makers[1] = replace(makers[1], bulk=replace(share, siblings=share.siblings[::-1]))
    if case == "no signature":
        makers[1] = replace(makers[1], bulk=replace(share, r=0, vs=0))
    assert desk.settle(SignedFill(desk.signed("taker", 10), makers[1], 5, PRICE)) == 0
    assert desk.codes() == {0: "BadSignature"}


def test_a_proof_or_a_blob_that_is_not_there_reverts_the_batch(desk: Desk) -> None:
    for expiry in (desk.now + 100, desk.now - 1):
        maker = desk.signed_in_bulk(desk.order("maker", -10, expiry=expiry), signer="maker")[0]
        batch = pack([SignedFill(desk.signed("taker", 10), maker, 5, PRICE)])
        lists = b"", batch.accounts, batch.instruments, batch.orders, batch.fills, 1
        short = [batch.blobs[0][:63]]
        for blobs, proofs in (([], batch.proofs), (short, batch.proofs)):
            with pytest.raises(CallReverted):
                desk.send(desk.engine, proofs, *lists, blobs)
        words = [(w[0] | place_bits(w[0]), *w[1:]) for w in batch.orders]
        with pytest.raises(CallReverted):
            desk.send(desk.engine, b"", *lists[:3], words, *lists[4:], batch.blobs)
        assert desk.send(desk.engine, batch.proofs, *lists, batch.blobs) == (expiry > desk.now)


def test_a_replica_reads_from_a_batch_what_the_chain_recovers(desk: Desk) -> None:
    orders = [desk.order("maker", -10, nonce=n) for n in range(3)]
    makers = desk.signed_in_bulk(*orders, signer="maker")
    stolen = desk.signed_in_bulk(desk.order("maker", -10, nonce=9), signer="thief")
    fills = [SignedFill(desk.signed("taker", 40), m, 1, PRICE) for m in (*makers, *stolen)]
    batch = pack(fills)
    lists = b"", batch.accounts, batch.instruments, batch.orders, batch.fills, 1, batch.blobs
    data = desk.exchange.abi.encode_call("settle", *lists) + batch.proofs
    name, arguments = Reader(desk.exchange.abi).read(data)
    assert name == "settle" and [bytes(blob) for blob in arguments[6]] == batch.blobs
    for fill, owner in zip(fills, ("maker", "maker", "maker", "thief"), strict=True):
        order = fill.maker.order
        words = order_words_of(batch, order)
        found = recovered(desk.separator, order, words, arguments[6], data)
        assert found == address_of(owner)
    words = order_words_of(batch, orders[0])
    for blobs, calldata in (([], data), ([batch.blobs[0][:63]], data), (batch.blobs, data[:31])):
        with pytest.raises(IndexError):
            recovered(desk.separator, orders[0], words, blobs, calldata)
    high = words[0] | 15 << 153 | 15 << 165
    assert recovered(desk.separator, orders[0], (high, *words[1:]), batch.blobs, data) == ""


def order_words_of(batch: PackedBatch, order: Order) -> Words:
    """The words of an order in its batch."""
    account = batch.accounts.index(as_bytes(order.account))
    return next(
        words
        for words in batch.orders
        if words[0] >> 248 == account and (words[0] >> 183) & (2**64 - 1) == order.nonce
    )


def place_bits(word: int) -> int:
    """All bits of a proof's place, for an order that has one."""
    return 1023 << 165 if word >> 153 & 15 else 0


def test_trees_and_contract_wallets_share_a_batch(desk: Desk) -> None:
    wallet = desk.chain.deploy("MockWallet", root=MOCKS)
    wallet.call("set_mode", 1)
    order = desk.order("taker", 10, account=int(wallet.address, 16) << 96)
    taker = SignedOrder(order, blob=b"approved")
    maker = desk.signed_in_bulk(desk.order("maker", -10), signer="maker")[0]
    fill = SignedFill(taker, maker, 5, PRICE)
    assert [len(blob) for blob in pack([fill]).blobs] == [8, 64]
    assert desk.settle(fill) == 1
    wallet.call("set_mode", 0)
    assert desk.settle(fill) == 0
    assert desk.codes() == {0: "BadSignature"}


def test_sixty_four_trees_share_the_blobs_of_a_batch(desk: Desk) -> None:
    makers = [
        desk.signed_in_bulk(desk.order("maker", -1, nonce=n), signer="maker")[0] for n in range(64)
    ]
    taker = desk.signed("taker", 100)
    fills = [SignedFill(taker, maker, 1, PRICE) for maker in makers]
    assert [len(blob) for blob in pack(fills).blobs] == [1024] * 4
    assert desk.settle(*fills) == 2**64 - 1
    more = desk.signed_in_bulk(desk.order("maker", -1, nonce=64), signer="maker")[0]
    with pytest.raises(Rejected, match="TooManyItems"):
        pack([*fills, SignedFill(taker, more, 1, PRICE)])


def test_the_blank_leaf_of_a_tree_is_nobodys_order(desk: Desk) -> None:
    """Its account is refused with the batch, and lots it has none."""
    made = sign_bulk(key_of("maker"), desk.separator, [desk.order("maker", -10)])
    blank = BulkSignature(made.r, made.vs, 1, (made.levels[0][0],))
    fill = SignedFill(desk.signed("taker", 10), SignedOrder(BLANK, bulk=blank), 0, 0)
    with pytest.raises(Rejected, match="NotAscending"):
        desk.settle(fill)


def test_a_session_key_signs_trees_within_its_scope_and_budget(desk: Desk) -> None:
    owner, account = address_of("maker"), as_bytes(account_of("maker"))
    limits = desk.now + 1_000, 2, 0, 60_000, 10**6  # quotes only, ten lots of notional
    desk.exchange.call("set_session_key", account, address_of("key"), *limits, sender=owner)
    orders = [desk.order("maker", -10, nonce=n, flags=POST_ONLY * (n < 3)) for n in range(4)]
    makers = desk.signed_in_bulk(*orders, signer="key")
    taker = desk.signed("taker", 40)
    fills = [SignedFill(taker, maker, 4, PRICE) for maker in makers]
    assert desk.settle(*fills) == 0b0011
    assert desk.codes() == {2: "SessionKeyBudget", 3: "SessionKeyScope"}
    assert (
        desk.exchange.view("session_key", account, address_of("key")) >> 64 & (2**64 - 1) == 12_000
    )


def test_trees_settle_by_receipt_and_open_to_anyone(desk: Desk) -> None:
    makers = desk.signed_in_bulk(
        *[desk.order("maker", -10, nonce=n) for n in range(3)], signer="maker"
    )
    fill = SignedFill(desk.signed("taker", 10), makers[2], 5, PRICE)
    assert desk.settle_by_receipt(fill, matched_at=desk.now - 30) == 1
    opened = desk.order("maker", -10, nonce=9, **open_to_anyone())
    maker = desk.signed_in_bulk(opened, signer="maker")[0]
    taker = desk.signed("taker", 10, nonce=2, **open_to_anyone())
    assert desk.settle(SignedFill(taker, maker, 5, PRICE), caller="stranger") == 1


def test_the_same_order_signed_alone_and_in_a_tree_is_one_order(desk: Desk) -> None:
    order = desk.order("maker", -10)
    alone, in_tree = desk.sign(order, "maker"), desk.signed_in_bulk(order, signer="maker")[0]
    taker = desk.signed("taker", 20)
    assert desk.settle(SignedFill(taker, alone, 6, PRICE)) == 1
    assert desk.settle(SignedFill(taker, in_tree, 6, PRICE)) == 0
    assert desk.codes() == {0: "OverFilled"}
    assert desk.settle(SignedFill(taker, in_tree, 4, PRICE)) == 1


def test_a_batch_of_full_proofs_has_room_for_its_most_orders(desk: Desk) -> None:
    """100 makers of trees of 256 beside 20 takers: 25 kB of proofs, of which none is in memory."""
    trees = [
        desk.signed_in_bulk(
            *[desk.order("maker", -1, nonce=256 * t + n) for n in range(256)], signer="maker"
        )
        for t in range(2)
    ]
    takers = [desk.signed("taker", 5, nonce=n) for n in range(20)]
    fills = [SignedFill(takers[i // 5], trees[i % 2][2 * i], 1, PRICE) for i in range(100)]
    assert len(pack(fills).proofs) == 100 * 8 * 32
    assert desk.settle(*fills) == 2**100 - 1
