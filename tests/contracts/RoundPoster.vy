# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""@title Two calls to one contract in one transaction; passes on what a failed one reverts with"""


@external
def twice(target: address, first: Bytes[4096], second: Bytes[4096]):
    raw_call(target, first)
    raw_call(target, second)
