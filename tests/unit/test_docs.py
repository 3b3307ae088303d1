"""What the documents point at exists: glossary identifiers, links, make targets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def glossary() -> list[tuple[str, list[str], list[str]]]:
    rows = []
    for line in (ROOT / "GLOSSARY.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and "`" in line:
            rows.append(
                (cells[0], re.findall(r"`(.+?)`", cells[1]), re.findall(r"`(.+?)`", cells[3]))
            )
    return rows


@pytest.mark.parametrize(("term", "identifiers", "files"), glossary())
def test_a_glossary_term_stands_in_its_files(
    term: str, identifiers: list[str], files: list[str]
) -> None:
    assert identifiers and files, term
    for name in files:
        text = (ROOT / "src/novate" / name).read_text()
        for identifier in identifiers:
            assert re.search(rf"\b{identifier}\b|\b{identifier}_wad\b", text), (identifier, name)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_relative_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def test_files_of_the_reading_order_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text().split("## The files")[1].split("\n## ")[0]
    names = re.findall(r"`([\w/]+(?:/|\.\w+))`", text)
    package = ROOT / "src/novate"
    for name in names:
        places = [ROOT, package, package / "model", package / "contracts"]
        assert any((place / name).exists() for place in places), name
    assert len(names) > 20


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md"])
def test_make_targets_of_the_documents_exist(document: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"make ([a-z]+)\b", (ROOT / document).read_text()))
    assert named
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
