"""The blocks of code in the pages of the documentation, for the tests that use them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *sorted((ROOT / "docs").glob("*.md")),
    *(ROOT / name for name in ("README.md", "config/README.md", "results/README.md")),
]

_BLOCK = re.compile(
    r"^(?P<in>[ ]*)```(?P<language>[a-z]*)[ ]*\n(?P<text>.*?)^(?P=in)```[ ]*$",
    re.MULTILINE | re.DOTALL,
)
_FILE = re.compile(r"# ((?:[\w.-]+/)+[\w.-]+\.\w+)")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes
    ----------
    page : Path
    heading : str
        Of the section that it is in.
    language : str
        What is behind the fence.
    text : str
    line : int
        Of the fence in the page.
    """

    page: Path
    heading: str
    language: str
    text: str
    line: int

    @property
    def file(self) -> str | None:
        """The file that its first line names, from the project's root."""
        match = _FILE.fullmatch(self.text.partition("\n")[0])
        return match[1] if match else None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path, *languages: str) -> list[Block]:
    """Return the fenced blocks of a page, of some languages or all."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        before = _BLOCK.sub("", text[: match.start()])
        headings = re.findall(r"^#+ (.*)$", before, re.MULTILINE)
        own = re.sub(rf"^{match['in']}", "", match["text"], flags=re.MULTILINE)
        line = text[: match.start()].count("\n") + 1
        found.append(Block(page, (headings or [""])[-1], match["language"], own, line))
    return [block for block in found if not languages or block.language in languages]


def apply(block: Block, folder: Path) -> str:
    """Write a block to the file that it names, or change that file as a ``diff`` says.

    Of a diff, the lines without ``+`` must be in the file exactly once, one after the other.

    Returns
    -------
    str
        The file, from the project's root.
    """
    path = folder / block.file
    lines = block.text.splitlines()[1:]
    if block.language == "diff":
        assert {line[:1] for line in lines} <= {" ", "+", "-"}, f"{block}: no diff"
        old, new = ([line[1:] for line in lines if line[0] in kept] for kept in (" -", " +"))
        before = path.read_text(encoding="utf-8").splitlines()
        places = [
            at for at in range(len(before) - len(old) + 1) if before[at : at + len(old)] == old
        ]
        assert len(places) == 1, f"{block}: its lines are {len(places)} times in {block.file}"
        [at] = places
        lines = [*before[:at], *new, *before[at + len(old) :]]
    else:
        assert not path.exists(), f"{block}: {block.file} is there already"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return block.file
