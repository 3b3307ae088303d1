# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""@title Wrapper: up to four calls in one transaction; passes on what a failed one reverts with"""


@external
def run(targets: DynArray[address, 4], calls: DynArray[Bytes[4096], 4]):
    for i: uint256 in range(len(targets), bound=4):
        raw_call(targets[i], calls[i])
