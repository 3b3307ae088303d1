"""JSON that somebody else wrote.

Python's parser descends by recursion and relies on the interpreter's limit, which a library may
have raised beyond what the stack holds (py_ecc does, and eth-account imports it): a file of opening
brackets would end the process. So the depth is bounded before.
"""

from __future__ import annotations

import json
import re
from typing import Any

DEPTH_MAX = 32
_MARKS = re.compile(r'\\.|["\[\]{}]', re.DOTALL)


def parse(text: str, **options: Any) -> Any:
    """``json.loads`` of a text nested at most ``DEPTH_MAX`` deep. Errors: ``ValueError``."""
    depth, quoted = 0, False
    for found in _MARKS.finditer(text):
        mark = found.group()
        if mark == '"':
            quoted = not quoted
        elif quoted or mark[0] == "\\":
            continue
        elif mark in "[{":
            depth += 1
            if depth > DEPTH_MAX:
                raise ValueError(f"nested deeper than {DEPTH_MAX}")
        else:
            depth -= 1
    return json.loads(text, **options)
