"""The machine below the fast book: an array's address, a word brought near, a bit found.

Owns: the steps that are instructions of the processor instead of Python.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.cpython.unsafe import numbers
from numba.extending import intrinsic

from novate.engine.book_layout import Words


def _address(typing_context: Any, array: Any) -> Any:
    """The address of an array's first word: a kernel's argument without a count of references."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.make_array(array)(context, builder, arguments[0]).data

    return types.CPointer(types.int64)(array), generate  # type: ignore[no-untyped-call]


def _fetch(typing_context: Any, words: Any, at: Any) -> Any:
    """Ask the processor to bring a word near; it need not."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        number = ir.IntType(32)
        place = builder.bitcast(builder.gep(arguments[0], [arguments[1]]), byte)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        fetch = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        builder.call(fetch, [place, number(1), number(3), number(1)])
        return context.get_dummy_value()

    return types.none(words, at), generate


address = cast(Callable[[Words], Words], intrinsic(_address))
fetch = cast(Callable[[Words, np.uint64], None], intrinsic(_fetch))
trailing_zeros = cast(Callable[[np.uint64], np.uint64], numbers.trailing_zeros)
leading_zeros = cast(Callable[[np.uint64], np.uint64], numbers.leading_zeros)
