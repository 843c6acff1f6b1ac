"""The documentation as a site: built strictly, whole, and without a network."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

from lowdose import api_docs

ROOT = Path(__file__).resolve().parents[2]
# What a browser fetches by itself; a link to another site is only followed by a reader.
FETCHED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


class Page(HTMLParser):
    """What a page fetches, where it links to, and the places in it that can be linked to."""

    def __init__(self, text):
        super().__init__()
        self.fetched, self.links, self.anchors = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.anchors |= {found[key] for key in ("id", "name") if found.get(key)}
        if tag in FETCHED and found.get(FETCHED[tag]):
            self.fetched.append(found[FETCHED[tag]])
        elif tag == "a" and found.get("href"):
            self.links.append(found["href"])


def build(folder, config=ROOT / "mkdocs.yml"):
    # Not with --quiet, which keeps warnings from being counted.
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", config, "-d", folder]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = build(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="session")
def pages(site):
    return {
        path: Page(path.read_text(encoding="utf-8"))
        for path in site.rglob("*.html")
        if path.name != "404.html"  # its paths start at the root of a server
    }


def test_nothing_is_fetched_from_elsewhere(site, pages):
    sources = [source for page in pages.values() for source in page.fetched]
    assert len(sources) > 50
    assert [source for source in sources if "//" in source or source.startswith("data:")] == []
    for style in site.rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        assert not re.search(r"@import|url\(\s*['\"]?(?:https?:)?//", text), style
    for script in site.rglob("*.js"):
        text = script.read_text(encoding="utf-8", errors="replace")
        # Addresses in licence headers and of XML's namespaces are names, nothing is loaded.
        assert not re.search(r"(?:src|href)\s*=\s*['\"]https?:|importScripts|fetch\(", text), script


def test_every_link_leads_somewhere(site, pages):
    broken, followed = [], 0
    for path, page in pages.items():
        for link in (*page.links, *page.fetched):
            if re.match(r"[a-z]+:", link):
                continue
            name, _, anchor = unquote(link).partition("#")
            target = (path.parent / name).resolve() if name else path
            followed += 1
            there = target.is_file() and target.is_relative_to(site.resolve())
            if anchor and target.suffix == ".html":
                there = there and anchor in pages[target].anchors
            if not there:
                broken.append((path.name, link))
    assert broken == []
    assert followed > 1000


def test_links_to_other_places_are_few_and_known(pages):
    hosts = {
        re.match(r"https?://([^/]+)", link)[1]
        for page in pages.values() for link in page.links if link.startswith("http")
    }  # fmt: skip
    assert hosts <= {
        "doi.org", "snakemake.github.io", "hyperspy.org", "w3id.org",
        "www.mkdocs.org", "github.com", "readthedocs.org",  # the theme's own footer
    }  # fmt: skip


def test_every_page_is_in_the_menu():
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = set(re.findall(r"[\w/-]+\.md", str(yaml.safe_load(text)["nav"])))
    assert {path.name for path in (ROOT / "docs").glob("*.md")} <= named
    assert {f"api/{room}.md" for room in api_docs.ROOMS} <= named


def test_broken_links_fail_the_build(tmp_path):
    mistakes = {
        "reproduce.md)": "reproduced.md)",
        "../results/README.md)": "../results/README-old.md)",
        "[Ablate](ablate.md)": "[Ablate](ablate.md#a-network-of-mine)",
        "../README.md)": "../README.md#nowhere)",
    }
    for name in ("docs", "results", "config"):
        ignored = shutil.ignore_patterns("*.png")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    (tmp_path / "workflow").symlink_to(ROOT / "workflow")
    for name in ("README.md", "mkdocs.yml"):
        shutil.copy2(ROOT / name, tmp_path)
    page = tmp_path / "docs" / "index.md"
    text = page.read_text(encoding="utf-8")
    for old, new in mistakes.items():
        assert old in text
        text = text.replace(old, new)
    page.write_text(text, encoding="utf-8")
    done = build(tmp_path / "site", tmp_path / "mkdocs.yml")
    assert done.returncode != 0
    told = [line for line in done.stderr.splitlines() if "WARNING" in line and "index.md" in line]
    for part in ("reproduced.md", "README-old.md", "#a-network-of-mine", "#nowhere"):
        assert any(part in line for line in told), part


def test_the_api_has_every_public_function_of_the_rooms():
    for room in api_docs.ROOMS:
        text = api_docs.page(room)
        for path in sorted((api_docs.PACKAGE / room).rglob("*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name[0] != "_":
                    listed = f"\n### `{node.name}`\n" in text
                    assert listed is bool(ast.get_docstring(node)), f"{path}: {node.name}"


def test_a_docstring_as_markdown():
    source = '''
def f(a: np.ndarray, b=2, *more: int, c: str = "x", **rest: Any) -> float:
    """Return ``a`` as :func:`~lowdose.metrics.psnr` does.

    More of it.

    Parameters
    ----------
    a : array (y, x)
        Counts [e/px],
        not negative.
    b, c : int
    **rest
        Passed on.

    Raises
    ------
    UserError
        If `a` is negative.
    """
'''
    [function] = api_docs.public(ast.parse(source).body)
    assert api_docs.signature(function) == (
        "f(a: np.ndarray, b=2, *more: int, c: str = 'x', **rest: Any) -> float"
    )
    assert api_docs.described(ast.get_docstring(function)) == [
        "Return `a` as `lowdose.metrics.psnr` does.",
        "",
        "More of it.",
        "",
        "**Parameters**",
        "",
        "- `a`: array (y, x)<br>",
        "    Counts [e/px],",
        "    not negative.",
        "- `b, c`: int",
        "- `**rest`<br>",
        "    Passed on.",
        "",
        "**Raises**",
        "",
        "- `UserError`<br>",
        "    If `a` is negative.",
    ]


def test_how_a_class_is_made():
    source = '''
class Point(NamedTuple):
    """A place."""

    x_nm: float
    kind: ClassVar[str] = "place"
    y_nm: float = 0.0


class Made:
    """Made by itself."""

    def __init__(self, first, *, second: int = 1) -> None: ...

    def method(self, a: int) -> str:
        """Say."""

    def _own(self): ...
'''
    point, made = api_docs.public(ast.parse(source).body)
    assert api_docs.signature(point) == "class Point(x_nm: float, y_nm: float = 0.0)"
    assert api_docs.signature(made) == "class Made(first, *, second: int = 1)"
    [method] = api_docs.public(made.body)
    assert api_docs.signature(method) == "method(a: int) -> str"
