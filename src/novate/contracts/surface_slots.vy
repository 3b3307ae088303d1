# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Surface slots: where the words of all surfaces stand, and how one surface follows another
        (docs/SPEC.md §13)
@notice Owns the words, the status words and which underlyings are registered. Times in seconds;
        nothing is rounded. Twin: novate/model/surfaces.py.
"""

from lib import errors
from lib import surface

event UnderlyingRegistered:
    underlying: indexed(uint256)

UNDERLYINGS_MAX: constant(uint256) = 16
EXPIRIES_MAX: constant(uint256) = 16
MASK_4: constant(uint256) = 2**4 - 1
MASK_8: constant(uint256) = 2**8 - 1
MASK_40: constant(uint256) = 2**40 - 1
MASK_64: constant(uint256) = 2**64 - 1
EXPIRY_SHIFT: constant(uint256) = 156
TIMESTAMP_SHIFT: constant(uint256) = 196
GENERATION_SHIFT: constant(uint256) = 104
COUNT_SHIFT: constant(uint256) = 112
SLOTS_SHIFT: constant(uint256) = 120
REGISTERED: constant(uint256) = 1 << 184

# [round 64 | timestamp 40 | generation 8 | count 8 | slots 64 | registered 8], by underlying.
# slots: four bits an expiry of the newest surface, the nearest expiry's slot in the lowest.
_statuses: uint256[UNDERLYINGS_MAX]
# At underlying * 16 + slot; a word stays after its expiry until another expiry takes the slot.
_words: uint256[UNDERLYINGS_MAX * EXPIRIES_MAX]


@internal
def register(underlying: uint256):
    """@notice Accept surfaces of `underlying` from now on."""
    errors.require(underlying < UNDERLYINGS_MAX, errors.OutOfBounds)
    self._statuses[underlying] |= REGISTERED
    log UnderlyingRegistered(underlying=underlying)


@internal
def replace(
    underlying: uint256,
    status: uint256,
    number: uint256,
    timestamp: uint256,
    words: DynArray[uint256, EXPIRIES_MAX],
) -> uint256:
    """
    @notice Put `words` in the place of the surface that `status` describes and return the new
            status word. `number` and `timestamp` exceed the stored ones and fit their fields.
    @dev Both surfaces ascend by expiry, so one walk through both finds every predecessor.
    """
    first: uint256 = underlying * EXPIRIES_MAX
    # The stored word of the nearest active expiry not yet met (0: none is left), the slots from its
    # own on, and how many they are.
    old: uint256 = 0
    ahead: uint256 = 0
    left: uint256 = 0
    old, ahead, left = self._active(first, status)
    taken: uint256 = self._taken(ahead, left)

    slots: uint256 = 0
    place: uint256 = 0
    previous: uint256 = 0
    for word: uint256 in words:
        if word >> TIMESTAMP_SHIFT != timestamp:
            errors.require(False, errors.SurfaceOutOfBounds)
        surface.gate(word, previous)
        previous = word
        expiry: uint256 = self._expiry(word)
        if expiry <= block.timestamp:
            errors.require(False, errors.ExpiryPassed)
        slot: uint256 = 0
        if old != 0 and expiry >= self._expiry(old):
            if expiry != self._expiry(old):
                errors.require(False, errors.MissingExpiry)
            surface.within_rate(old, word)
            slot = ahead & MASK_4
            ahead = ahead >> 4
            left = unsafe_sub(left, 1)  # `old` was one of those left
            old = 0
            if left != 0:
                old = self._words[first + (ahead & MASK_4)]
        else:
            slot = self._free(taken)
            taken |= 1 << slot
        self._words[first + slot] = word
        slots |= slot << place
        place = unsafe_add(place, 4)  # at most 16 times
    errors.require(old == 0, errors.MissingExpiry)

    generation: uint256 = unsafe_add(status >> GENERATION_SHIFT, 1) & MASK_8  # below 2^152 before
    return (
        number
        | (timestamp << 64)
        | (generation << GENERATION_SHIFT)
        | (len(words) << COUNT_SHIFT)
        | (slots << SLOTS_SHIFT)
        | REGISTERED
    )


@internal
@view
def newest(underlying: uint256) -> DynArray[uint256, EXPIRIES_MAX]:
    """@notice The words of the newest surface, nearest expiry first. Errors: OutOfBounds."""
    errors.require(underlying < UNDERLYINGS_MAX, errors.OutOfBounds)
    status: uint256 = self._statuses[underlying]
    slots: uint256 = status >> SLOTS_SHIFT
    words: DynArray[uint256, EXPIRIES_MAX] = []
    for _: uint256 in range((status >> COUNT_SHIFT) & MASK_8, bound=EXPIRIES_MAX):
        words.append(self._words[underlying * EXPIRIES_MAX + (slots & MASK_4)])
        slots = slots >> 4
    return words


@internal
@view
def slot_of(underlying: uint256, expiry: uint256) -> uint256:
    """@notice The slot of an expiry of the newest surface. Errors: OutOfBounds, MissingExpiry."""
    errors.require(underlying < UNDERLYINGS_MAX, errors.OutOfBounds)
    status: uint256 = self._statuses[underlying]
    slots: uint256 = status >> SLOTS_SHIFT
    for _: uint256 in range((status >> COUNT_SHIFT) & MASK_8, bound=EXPIRIES_MAX):
        if self._expiry(self._words[underlying * EXPIRIES_MAX + (slots & MASK_4)]) == expiry:
            return slots & MASK_4
        slots = slots >> 4
    errors.require(False, errors.MissingExpiry)
    return 0


@internal
@view
def _active(first: uint256, status: uint256) -> (uint256, uint256, uint256):
    """
    @notice Of a stored surface without its passed expiries: the nearest word (0: none is left), the
            slots and the count.
    """
    slots: uint256 = (status >> SLOTS_SHIFT) & MASK_64
    count: uint256 = (status >> COUNT_SHIFT) & MASK_8
    for passed: uint256 in range(count, bound=EXPIRIES_MAX):
        word: uint256 = self._words[first + (slots & MASK_4)]
        if self._expiry(word) > block.timestamp:
            return word, slots, unsafe_sub(count, passed)  # passed < count
        slots = slots >> 4
    return 0, 0, 0


@internal
@pure
def _expiry(word: uint256) -> uint256:
    """@notice When a word's expiry is."""
    return (word >> EXPIRY_SHIFT) & MASK_40


@internal
@pure
def _taken(slots: uint256, count: uint256) -> uint256:
    """@notice Bit i: one of the first `count` entries of `slots` is i."""
    rest: uint256 = slots
    taken: uint256 = 0
    for _: uint256 in range(count, bound=EXPIRIES_MAX):
        taken |= 1 << (rest & MASK_4)
        rest = rest >> 4
    return taken


@internal
@pure
def _free(taken: uint256) -> uint256:
    """
    @notice The lowest slot of sixteen that is not taken. If all are, an active expiry is missing:
            a surface has no more than sixteen.
    """
    for slot: uint256 in range(EXPIRIES_MAX):
        if (taken >> slot) & 1 == 0:
            return slot
    errors.require(False, errors.MissingExpiry)
    return 0
