# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""@title Bundle: up to twelve calls in one transaction; which of them went through is kept"""

passed: public(uint256)


@external
def run(targets: DynArray[address, 12], calls: DynArray[Bytes[4096], 12]):
    """@notice A failed call leaves nothing behind and the others go on."""
    self.passed = 0
    for i: uint256 in range(len(targets), bound=12):
        if raw_call(targets[i], calls[i], revert_on_failure=False):
            self.passed |= 1 << i
