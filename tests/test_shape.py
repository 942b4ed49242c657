"""The shape of the tree: what quality.md promises about files and what no tool of ours checks."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LINES_AT_MOST = 400

# Names that say nothing: what is in such a file has a proper home.
NAMELESS = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "handler"}

SKIPPED = {".git", ".venv", ".cache", "__pycache__", "build", "dist", "node_modules"}
TEXT = {
    ".py",
    ".md",
    ".toml",
    ".txt",
    ".sh",
    ".sql",
    ".html",
    ".css",
    ".js",
    ".service",
    ".socket",
    ".lock",
    ".in",
    ".yml",
    "",
}

# With a letter of each in brackets, so that this file does not hold what it looks for.
FOREIGN = {
    "a path of somebody's machine": re.compile(r"(?<![\w.])/(?:wor[k]|roo[t]|hom[e])/\w"),
    "a package registry's host": re.compile(r"pyp[i]\.org|pythonhoste[d]\.org|npmj[s]\.(?:org|com)"),
    "a note of unfinished work": re.compile(r"\b(?:TOD[O]|FIXM[E])\b"),
}
POSSESSIVE_GROUP = re.compile(r"\)(?:[*+?]|\{[0-9,]+\})\+")
PRIVATE_KEY = re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KE[Y]-----\s+[A-Za-z0-9+/]{40}")


def files() -> Iterator[Path]:
    pending = [ROOT]
    while pending:
        for path in sorted(pending.pop().iterdir()):
            if path.is_dir():
                if (
                    path.name not in SKIPPED
                    and not path.name.endswith("_cache")
                    and path.name != ".hypothesis"
                ):
                    pending.append(path)
            elif path.is_file() and path.suffix in TEXT:
                yield path


def modules() -> list[Path]:
    return [path for path in files() if path.suffix == ".py"]


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_source_file_is_longer_than_it_can_be_read() -> None:
    sources = [path for path in files() if path.suffix in {".py", ".sh", ".js", ".css"} or path.name == "dev"]
    lengths = {shown(path): len(path.read_text().splitlines()) for path in sources}

    assert {name: length for name, length in lengths.items() if length > LINES_AT_MOST} == {}


def test_no_module_has_a_name_that_says_nothing() -> None:
    named = {shown(path): {path.stem.strip("_"), path.parent.name} for path in modules()}

    assert [name for name, words in named.items() if words & NAMELESS] == []


def test_every_module_begins_with_what_it_is() -> None:
    first_lines = {
        shown(path): ast.get_docstring(ast.parse(path.read_text(), shown(path))) for path in modules()
    }

    assert [name for name, text in first_lines.items() if not (text or "").strip()] == []


def test_every_folder_of_the_package_is_a_package() -> None:
    """Without its `__init__.py` a folder escapes the import contracts."""
    folders = {path.parent for path in modules() if (ROOT / "gateway") in path.parents}

    assert [shown(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


@pytest.mark.parametrize("what", FOREIGN)
def test_nothing_holds(what: str) -> None:
    found = [
        f"{shown(path)}:{number}: {line.strip()[:80]}"
        for path in files()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if FOREIGN[what].search(line)
    ]

    assert found == []


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs/decisions"
    index = (folder / "README.md").read_text()
    titles = {path.name: path.read_text().splitlines()[0].removeprefix("# ") for path in folder.glob("0*.md")}

    assert [name for name, title in titles.items() if f"[{title}]({name})" not in index] == []


def test_no_private_key_lies_in_the_tree() -> None:
    """Tests make theirs; only published test vectors may hold one."""
    holders = [shown(path) for path in files() if PRIVATE_KEY.search(path.read_text(errors="replace"))]

    assert [name for name in holders if not name.startswith("tests/vectors/")] == []


def test_no_expression_repeats_a_group_possessively() -> None:
    """Python before 3.11.5, Debian 12's among them, takes more than such a group matches: `(?>(?:...)*)` is safe."""
    found = [
        f"{shown(path)}:{node.lineno}: {node.value!r:.60}"
        for path in modules()
        if (ROOT / "gateway") in path.parents
        for node in ast.walk(ast.parse(path.read_text(), shown(path)))
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
        if POSSESSIVE_GROUP.search(
            node.value if isinstance(node.value, str) else node.value.decode("latin-1")
        )
    ]

    assert found == []
