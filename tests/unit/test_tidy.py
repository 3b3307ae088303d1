"""Every rule of tools/tidy.py fires on a bad sample and stays silent on a good one."""

from pathlib import Path

import pytest

from tools import sizes, tidy

VYPER = '# pragma version 0.4.3\n# SPDX-License-Identifier: AGPL-3.0-only\n"""@title A module"""\n'
MODEL = "src/novate/model/sample.py"
SIM = "src/novate/sim/sample.py"
CONTRACT = "src/novate/contracts/sample.vy"
TEST = "tests/unit/test_sample.py"
UNFINISHED_WORD = "TO" + "DO"


def rules(path: str, text: str) -> set[str]:
    if path.endswith(".py") and path.startswith("src/") and not text.startswith('"""'):
        text = '"""A module."""\n' + text
    if path.endswith(".vy") and "pragma" not in text:
        text = VYPER + text
    return {finding.rule for finding in tidy.check(tidy.Source(path, text))}


def long_function(lines: int) -> str:
    return "def long() -> None:\n" + "    pass\n" * (lines - 1)


BAD = [
    ("line-length", MODEL, f"value = '{'x' * 100}'\n"),
    ("line-length", CONTRACT, f"# {'x' * 100}\n"),
    ("function-length", MODEL, long_function(71)),
    ("function-length", CONTRACT, long_function(71)),
    ("file-length", MODEL, "value = 1\n" * 401),
    ("file-length", CONTRACT, "value: uint256\n" * 401),
    ("unfinished", MODEL, f"# {UNFINISHED_WORD}: later\n"),
    ("unfinished", CONTRACT, f"# {UNFINISHED_WORD}: later\n"),
    ("unfinished", MODEL, "raise NotImplemented" + "Error\n"),
    ("machine-path", MODEL, "path = '/" + "home/somebody/file'\n"),
    ("machine-path", "README.md", "see /" + "tmp/out\n"),
    ("no-float", MODEL, "value = 1.5\n"),
    ("no-float", MODEL, "value = float(1)\n"),
    ("no-float", MODEL, "value = a / b\n"),
    ("no-float", MODEL, "a /= b\n"),
    ("no-float", "src/novate/units.py", "value = a / b\n"),
    ("division", MODEL, "value = a // b\n"),
    ("division", MODEL, "a //= b\n"),
    ("division", MODEL, "value = divmod(a, b)\n"),
    ("division", MODEL, "value = a // b  # division:\n"),
    ("deterministic", MODEL, "import time\nnow = time.time()\n"),
    ("deterministic", MODEL, "from time import monotonic_ns as tick\nnow = tick()\n"),
    ("deterministic", SIM, "from datetime import datetime\nnow = datetime.now()\n"),
    ("deterministic", SIM, "import datetime as d\nnow = d.datetime.now()\n"),
    ("deterministic", SIM, "import random\nvalue = random.randint(1, 2)\n"),
    ("deterministic", SIM, "import random\nsource = random.Random()\n"),
    ("deterministic", SIM, "import numpy as np\nvalue = np.random.rand(3)\n"),
    ("deterministic", SIM, "import numpy as np\nsource = np.random.default_rng()\n"),
    ("deterministic", SIM, "import os\nvalue = os.urandom(8)\n"),
    ("deterministic", SIM, "for item in {1, 2}:\n    pass\n"),
    ("deterministic", SIM, "values = [item for item in set(items)]\n"),
    ("vyper-header", CONTRACT, '# pragma version 0.4.3\n"""@title A"""\n'),
    ("vyper-header", CONTRACT, VYPER.replace("0.4.3", "0.4.0")),
    ("unsafe-proof", CONTRACT, "def f():\n    a: uint256 = unsafe_add(1, 2)\n"),
    ("unsafe-proof", CONTRACT, "def f():\n    # far away\n\n    a: uint256 = unsafe_add(1, 2)\n"),
    ("skip-reason", TEST, "import pytest\npytest.skip()\n"),
    ("skip-reason", TEST, "import pytest\n@pytest.mark.skip\ndef test_a(): pass\n"),
    ("skip-reason", TEST, "import pytest\n@pytest.mark.skipif(True)\ndef test_a(): pass\n"),
    ("skip-reason", TEST, "import pytest\n@pytest.mark.xfail\ndef test_a(): pass\n"),
]

GOOD = [
    (MODEL, f"value = '{'x' * 80}'\n"),
    (MODEL, long_function(70)),
    (CONTRACT, long_function(70) + "# the end\n"),
    (MODEL, "value = a // b  # division: index of a word, operands non-negative\n"),
    (MODEL, "import time\n\n\ndef f(time_now: int) -> int:\n    return time_now\n"),
    (SIM, "import random\nsource = random.Random(seed)\nvalue = source.randint(1, 2)\n"),
    (SIM, "import numpy as np\nsource = np.random.default_rng(7)\n"),
    (SIM, "for item in sorted({1, 2}):\n    pass\n"),
    (SIM, "value = 1.5 / 2\n"),
    (CONTRACT, "def f():\n    a: uint256 = unsafe_add(1, 2)  # 3 fits\n"),
    (
        CONTRACT,
        "def f():\n    # both fit\n    a: uint256 = unsafe_add(1, 2)\n    a = unsafe_add(a, 2)\n",
    ),
    (CONTRACT, f'a: constant(bytes32) = keccak256(\n    "{"x" * 100}"\n)\n'),
    (TEST, "import pytest\npytest.skip('no data folder')\n"),
    (TEST, "import pytest\n@pytest.mark.skipif(True, reason='no node')\ndef test_a(): pass\n"),
    ("README.md", "https://example.org/" + "home/page and ./" + "tmp/x\n"),
    ("src/novate/errors.py", f"A = _r(1, 'A', 400, False, '{'x' * 100}')\n"),
]


@pytest.mark.parametrize(("rule", "path", "text"), BAD)
def test_a_bad_sample_breaks_the_rule(rule: str, path: str, text: str) -> None:
    assert rule in rules(path, text)


@pytest.mark.parametrize(("path", "text"), GOOD)
def test_a_good_sample_breaks_no_rule(path: str, text: str) -> None:
    assert rules(path, text) == set()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (MODEL, "value = 1\n"),
        ("tests/attacks/test_sample.py", "value = 1\n"),
        (CONTRACT, VYPER.split('"""')[0] + "a: uint256\n"),
    ],
)
def test_a_module_says_what_it_owns(path: str, text: str) -> None:
    assert "module-docstring" in {f.rule for f in tidy.check(tidy.Source(path, text))}


def test_a_finding_prints_as_file_line_rule_message() -> None:
    (finding,) = tidy.check(tidy.Source(MODEL, '"""A module."""\n\nvalue = 1.5\n'))
    assert str(finding) == f"{MODEL}:3: no-float: float literal 1.5"


def test_every_rule_has_a_bad_sample() -> None:
    assert len(tidy.RULES) == len({rule for rule, _, _ in BAD} | {"module-docstring"})


def test_installed_and_built_files_are_not_searched(tmp_path: Path) -> None:
    for name in ("src/a.py", ".venv/b.py", "node_modules/c.js", "out/d.md", ".ci/run"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("value = 1\n")
    assert [source.path for source in tidy.sources(tmp_path)] == [".ci/run", "src/a.py"]


def test_a_contract_size_must_be_the_committed_one_and_within_the_limit() -> None:
    assert sizes.problems({"A": 100}, {"A": 100}) == []
    assert sizes.problems({"A": 101}, {"A": 100}) == ["A is 101 bytes, committed 100"]
    assert sizes.problems({"A": 24_577}, {"A": 24_577}) == [
        "A is 24577 bytes, above the limit of 24576"
    ]
    assert sizes.problems({}, {"A": 100}) == ["A is None bytes, committed 100"]
