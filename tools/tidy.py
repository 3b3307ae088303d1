"""The house style that a machine can check; exits 1 after printing ``file:line: rule: message``.

Rules are plain functions from one source file to its findings, listed in RULES; those of the whole
repository (the error registry, contract sizes) run afterwards. ``tidy.py PATH ...`` checks only
those files.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parent.parent
LINE_LENGTH_MAX = 100
FUNCTION_LINES_MAX = 70
FUNCTION_LINES_SOFT = 50
# One pass over a batch, or over positions, in memory: each part cut off copies what it works on,
# which every trade would pay.
FUNCTION_LINES_EXEMPT = {
    ("src/novate/contracts/Exchange.vy", "settle"): 80,
    ("src/novate/contracts/option_risk.vy", "with_rows"): 71,
    ("src/novate/contracts/option_sums.vy", "fresh_sums"): 103,
}
FILE_LINES_MAX = 400
FILE_LINES_EXEMPT = ("src/novate/contracts/lib/errors.vy", "src/novate/errors.py")
SKIPPED_FOLDERS = {"node_modules", "out", "build", "dist", "__pycache__"}
TEXT_SUFFIXES = {"", ".css", ".html", ".js", ".json", ".lock", ".md", ".py", ".sh", ".toml", ".yml"}
VYPER_SUFFIXES = {".vy", ".vyi"}
WALL_CLOCK = re.compile(
    r"time\.(time|monotonic|perf_counter|process_time)(_ns)?"
    r"|datetime\.(datetime|date)\.(now|utcnow|today)"
    r"|os\.urandom|uuid\.uuid[14]|secrets\..+|random\.(?!Random$).+"
    r"|numpy\.random\.(?!default_rng$|Generator$).+"
)
SEEDED = {"random.Random", "numpy.random.default_rng"}
# The halves are joined so that this file does not match itself.
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX|NotImplemented" r"Error)\b")
MACHINE_PATH = re.compile(
    r"(?<![\w.:/-])(/(?:home|root|tmp|work|Users|farm|private)/\w|[A-Z]:\\Users)"
)
DIVISION_REASON = re.compile(r"# division: \w+")


@dataclass(frozen=True)
class Finding:
    """One place that breaks one rule."""

    path: str
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.message}"


@dataclass(frozen=True)
class Source:
    """A file of the repository: its path from the root, with slashes, and its text."""

    path: str
    text: str

    @cached_property
    def lines(self) -> list[str]:
        """The text without line ends."""
        return self.text.splitlines()

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree; only for Python."""
        return ast.parse(self.text, self.path)

    @property
    def is_python(self) -> bool:
        """Whether the file is Python."""
        return self.path.endswith(".py")

    @property
    def is_vyper(self) -> bool:
        """Whether the file is a Vyper module or interface."""
        return self.path.endswith((".vy", ".vyi"))

    @property
    def is_code(self) -> bool:
        """Whether the file is Python or Vyper."""
        return self.is_python or self.is_vyper

    def within(self, *folders: str) -> bool:
        """Whether the file lies in one of these packages of src/novate."""
        return self.path.startswith(tuple(f"src/novate/{folder}/" for folder in folders))

    def finding(self, line: int, rule: str, message: str) -> Finding:
        """A finding in this file."""
        return Finding(self.path, line, rule, message)


Rule = Callable[[Source], Iterator[Finding]]


def line_length(source: Source) -> Iterator[Finding]:
    """Lines of code fit 100 columns, but for registry entries and a string alone on its line."""
    for number, line in enumerate(source.lines, 1):
        table_row = source.path == "src/novate/errors.py" and " = _r(" in line
        lone_string = source.is_vyper and re.fullmatch(r'\s*"[^"]+",?', line)
        if source.is_code and len(line) > LINE_LENGTH_MAX and not (table_row or lone_string):
            message = f"{len(line)} columns, at most {LINE_LENGTH_MAX}"
            yield source.finding(number, "line-length", message)


def functions(source: Source) -> Iterator[tuple[int, str, int]]:
    """First line, name and number of lines of every function of a Python or Vyper file."""
    if source.is_python:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node.lineno, node.name, (node.end_lineno or node.lineno) - node.lineno + 1
    elif source.is_vyper:
        for start, line in enumerate(source.lines):
            if found := re.match(r"def (\w+)", line):
                last = start
                for index in range(start + 1, len(source.lines)):
                    if re.match(r"[^\s)]", source.lines[index]):
                        break
                    last = index if source.lines[index].strip() else last
                yield start + 1, found[1], last - start + 1


def function_length(source: Source) -> Iterator[Finding]:
    """A function fits one screen."""
    for line, name, length in functions(source):
        most = FUNCTION_LINES_EXEMPT.get((source.path, name), FUNCTION_LINES_MAX)
        if length > most:
            message = f"{name} has {length} lines, at most {most}"
            yield source.finding(line, "function-length", message)


def file_length(source: Source) -> Iterator[Finding]:
    """One room, one concern."""
    watched = source.path.startswith(("src/", "tools/")) and source.is_code
    count = len(source.lines)
    if watched and count > FILE_LINES_MAX and source.path not in FILE_LINES_EXEMPT:
        yield source.finding(1, "file-length", f"{count} lines, at most {FILE_LINES_MAX}")


def module_docstring(source: Source) -> Iterator[Finding]:
    """Modules of the product and the tools say what they own, attack regressions their source."""
    watched = source.path.startswith(("src/", "tools/", "tests/attacks/"))
    if not watched or not source.text.strip():
        return
    if source.is_python and ast.get_docstring(source.tree) is None:
        yield source.finding(1, "module-docstring", "the module has no docstring")
    if source.is_vyper and not re.search(r'^"""\s*@title \S', source.text, re.MULTILINE):
        yield source.finding(1, "module-docstring", "the module has no docstring with a @title")


def unfinished(source: Source) -> Iterator[Finding]:
    """What is in the repository is finished."""
    for number, line in enumerate(source.lines, 1):
        if source.is_code and (found := UNFINISHED.search(line)):
            yield source.finding(number, "unfinished", f"{found[0]}: finish it or take it out")


def machine_path(source: Source) -> Iterator[Finding]:
    """No path of somebody's machine."""
    for number, line in enumerate(source.lines, 1):
        if found := MACHINE_PATH.search(line):
            yield source.finding(number, "machine-path", f"absolute path {found[0]}...")


def no_float(source: Source) -> Iterator[Finding]:
    """No float where money is decided: the model and units.py compute in integers."""
    if not (source.is_python and (source.within("model") or source.path == "src/novate/units.py")):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield source.finding(node.lineno, "no-float", f"float literal {node.value}")
        elif isinstance(node, ast.Name) and node.id == "float":
            yield source.finding(node.lineno, "no-float", "the type float")
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield source.finding(node.lineno, "no-float", "true division")


def division(source: Source) -> Iterator[Finding]:
    """Only units.py divides, so that every rounding has its direction in a name.

    The reason for another division stands on its lines, or on the one before or after them.
    """
    if not (source.is_python and source.within("model")):
        return
    for node in ast.walk(source.tree):
        floor = isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.FloorDiv)
        both = isinstance(node, ast.Name) and node.id == "divmod"
        if not (floor or both):
            continue
        assert isinstance(node, ast.expr | ast.stmt)
        span = source.lines[max(node.lineno - 2, 0) : (node.end_lineno or node.lineno) + 1]
        if not any(DIVISION_REASON.search(line) for line in span):
            message = "divide in units.py, or say why: `# division: <why>`"
            yield source.finding(node.lineno, "division", message)


def _aliases(tree: ast.Module) -> dict[str, str]:
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for item in node.names:
                top = item.name.split(".")[0]
                names[item.asname or top] = item.name if item.asname else top
        elif isinstance(node, ast.ImportFrom):
            for item in node.names:
                names[item.asname or item.name] = f"{node.module}.{item.name}"
    return names


def _dotted(node: ast.AST, aliases: dict[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return aliases.get(node.id)
    if isinstance(node, ast.Attribute) and (base := _dotted(node.value, aliases)):
        return f"{base}.{node.attr}"
    return None


def deterministic(source: Source) -> Iterator[Finding]:
    """Model, engine and simulator take time and randomness as arguments and iterate no set."""
    if not (source.is_python and source.within("model", "engine", "sim")):
        return
    aliases = _aliases(source.tree)
    for node in ast.walk(source.tree):
        name = _dotted(node, aliases)
        if name and WALL_CLOCK.fullmatch(name):
            line = getattr(node, "lineno", 1)
            yield source.finding(line, "deterministic", f"{name}: take it as an argument")
        if isinstance(node, ast.Call) and not node.args and _dotted(node.func, aliases) in SEEDED:
            yield source.finding(node.lineno, "deterministic", "a generator without a seed")
        if isinstance(node, ast.For | ast.comprehension) and _is_set(node.iter):
            yield source.finding(node.iter.lineno, "deterministic", "iterating over a set: sort it")


def _is_set(node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        return ast.unparse(node.func) in {"set", "frozenset"}
    return isinstance(node, ast.Set | ast.SetComp)


def vyper_header(source: Source) -> Iterator[Finding]:
    """Every Vyper file names its licence and the pinned compiler."""
    if source.is_vyper:
        if "# SPDX-License-Identifier: AGPL-3.0-only" not in source.lines[:4]:
            yield source.finding(
                1, "vyper-header", "no line `# SPDX-License-Identifier: AGPL-3.0-only`"
            )
        if "# pragma version 0.4.3" not in source.lines[:4]:
            yield source.finding(1, "vyper-header", "no line `# pragma version 0.4.3`")


def unsafe_proof(source: Source) -> Iterator[Finding]:
    """Unchecked arithmetic carries its proof: a comment on its line or above in its paragraph."""
    proven = False
    for number, line in enumerate(source.lines if source.is_vyper else [], 1):
        code, _, comment = line.partition("#")
        proven = line.startswith((" ", "#")) and (proven or bool(comment.strip()))
        if re.search(r"\bunsafe_\w+\(", code) and not proven:
            yield source.finding(number, "unsafe-proof", "unsafe_ without a comment that proves it")


def skip_reason(source: Source) -> Iterator[Finding]:
    """A test is skipped, or expected to fail, only with a reason."""
    if not (source.is_python and source.path.startswith("tests/")):
        return
    reasoned: set[ast.AST] = set()
    marks = {"pytest.skip", "pytest.mark.skip", "pytest.mark.skipif", "pytest.mark.xfail"}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call):
            named = any(keyword.arg == "reason" for keyword in node.keywords)
            first_is_reason = ast.unparse(node.func) in {"pytest.skip", "pytest.mark.skip"}
            if named or (node.args and first_is_reason):
                reasoned.add(node.func)
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and node not in reasoned and ast.unparse(node) in marks:
            message = f"{ast.unparse(node)} without a reason"
            yield source.finding(node.lineno, "skip-reason", message)


RULES: tuple[Rule, ...] = (
    line_length,
    function_length,
    file_length,
    module_docstring,
    unfinished,
    machine_path,
    no_float,
    division,
    deterministic,
    vyper_header,
    unsafe_proof,
    skip_reason,
)


def check(source: Source) -> list[Finding]:
    """Findings of every rule in one file, by line."""
    found = [finding for rule in RULES for finding in rule(source)]
    return sorted(found, key=lambda finding: (finding.line, finding.rule))


def sources(root: Path) -> Iterator[Source]:
    """Every text file of the repository in path order, without what is installed or built."""
    suffixes = TEXT_SUFFIXES | VYPER_SUFFIXES
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        hidden = any(part.startswith(".") and part != ".ci" for part in parts[:-1])
        if hidden or SKIPPED_FOLDERS & set(parts) or path.suffix not in suffixes:
            continue
        if path.is_file():
            yield Source("/".join(parts), path.read_text(encoding="utf-8"))


def _script(name: str, rule: str, target: str) -> Iterator[Finding]:
    command = [sys.executable, str(ROOT / "tools" / name), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        failures = [line for line in done.stderr.splitlines() if line[:1].strip()]
        for line in done.stdout.splitlines() or failures[-1:] or ["out of date"]:
            yield Finding(target, 1, rule, f"{line} (tools/{name} writes it)")


def repository() -> Iterator[Finding]:
    """Generated files against what they are made from."""
    yield from _script("errors_vy.py", "errors-registry", "src/novate/contracts/lib/errors.vy")
    yield from _script("sizes.py", "contract-size", "tests/snapshots/contract_sizes.json")


def main() -> int:
    """Check the named files or the whole repository; functions over 50 lines are counted."""
    named = [Path(argument).resolve() for argument in sys.argv[1:]]
    everything = list(sources(ROOT))
    chosen = [s for s in everything if not named or (ROOT / s.path).resolve() in named]
    found = [finding for source in chosen for finding in check(source)]
    found += [] if named else repository()
    for finding in found:
        print(finding)
    long = sum(
        FUNCTION_LINES_SOFT < length <= FUNCTION_LINES_MAX
        for source in chosen
        if source.path.startswith("src/")
        for _, _, length in functions(source)
    )
    verdict = f"{len(found)} findings" if found else "ok"
    print(
        f"tidy: {verdict}; {len(chosen)} files, {long} functions over {FUNCTION_LINES_SOFT} lines"
    )
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
