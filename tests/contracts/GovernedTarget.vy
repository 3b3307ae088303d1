# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""@title What a timelock governs: a value, and calls that fail with and without data"""

from lib import errors

setting: public(uint256)


@external
def set_setting(wanted: uint256):
    self.setting = wanted


@external
def refuse():
    errors.require(False, errors.OutOfBounds)


@external
def fail_silently():
    raw_revert(b"")


@external
def run_again(timelock: address, data: Bytes[4096]):
    raw_call(timelock, data)
