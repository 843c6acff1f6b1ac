"""A hook of MkDocs: the site holds what the pages link to elsewhere in the project.

A link such as ``../results/README.md`` works where the project is read as files.  The site is
one folder that is opened without a network, so what such a link leads to goes into it, below
``project/``: Markdown as pages, with their own links followed, a folder as the list of its files,
anything else as it is.  The pages of the rooms are made here as well (:mod:`lowdose.api_docs`).
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path

from mkdocs.structure.files import File, Files, InclusionLevel

ROOT = Path(__file__).resolve().parents[1]
DOCS = "docs"
sys.path.insert(0, str(ROOT / "workflow"))

from lowdose import api_docs  # noqa: E402

# [text](target) and ![text](target), where the text may itself be in brackets.
LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\]]*\])*\]\()([^)\s]+)(\))")
FENCE = re.compile(r"^(?:```|~~~).*?^(?:```|~~~)[ \t]*$", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config) -> Files:
    """Add the generated pages, and what any page links to outside of this folder."""
    for uri, text in api_docs.pages().items():
        files.append(File.generated(config, uri, content=text))
    waiting = [
        (f"{DOCS}/{file.src_uri}", file.content_string) for file in files.documentation_pages()
    ]
    while waiting:
        path, text = waiting.pop()
        for target in linked(path, text):
            uri = uri_of(target)
            if target.startswith(f"{DOCS}/") or files.get_file_from_path(uri) is not None:
                continue
            if (content := page_of(target)) is not None:
                waiting.append((path_of(uri), content))
                made = File.generated(config, uri, content=content)
                made.inclusion = InclusionLevel.NOT_IN_NAV
            else:
                made = File.generated(config, uri, abs_src_path=str(ROOT / target))
            files.append(made)
    return files


def on_page_markdown(markdown: str, page, config, files: Files) -> str:
    """Let the links of a page lead to where the files are in the site."""
    path = path_of(page.file.src_uri)

    def moved(match: re.Match) -> str:
        target, hash_, anchor = match[2].partition("#")
        if (place := resolved(path, target)) is None:
            return match[0]
        uri = uri_of(place)
        if files.get_file_from_path(uri) is None:
            return match[0]  # MkDocs refuses it, which is right
        return f"{match[1]}{relative(uri, page.file.src_uri)}{hash_}{anchor}{match[3]}"

    return outside_of_code(lambda text: LINK.sub(moved, text), markdown)


def linked(path: str, text: str) -> list[str]:
    """Return what a page links to in this project, as paths from the root that exist."""
    prose = FENCE.sub("", text)
    targets = (resolved(path, match[2].partition("#")[0]) for match in LINK.finditer(prose))
    return list(dict.fromkeys(target for target in targets if target is not None))


def resolved(path: str, target: str) -> str | None:
    """Return what a link on the page `path` leads to, from the root; None if that is no file."""
    if not target or "://" in target or target.startswith(("/", "mailto:")):
        return None
    place = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    return place if not place.startswith("..") and (ROOT / place).exists() else None


def page_of(target: str) -> str | None:
    """Return the Markdown of a file or folder, None if it is to be copied as it is."""
    place = ROOT / target
    if place.is_dir():
        if (readme := place / "README.md").is_file():
            return readme.read_text(encoding="utf-8")
        names = sorted(p.name for p in place.iterdir() if p.is_file() and p.name[0] != ".")
        return "\n".join([f"# {target}", "", *(f"- [{name}]({name})" for name in names)]) + "\n"
    return place.read_text(encoding="utf-8") if place.suffix == ".md" else None


def uri_of(target: str) -> str:
    """Return where a file or folder of the project is in the site's sources."""
    if target.startswith(f"{DOCS}/"):
        return target.removeprefix(f"{DOCS}/")
    if (ROOT / target).is_dir():
        name = "README.md" if (ROOT / target / "README.md").is_file() else "index.md"
        return f"project/{target}/{name}"
    return f"project/{target}"


def path_of(uri: str) -> str:
    """Return where a page's source is in the project (of a list of files: its folder)."""
    return uri.removeprefix("project/") if uri.startswith("project/") else f"{DOCS}/{uri}"


def relative(uri: str, of: str) -> str:
    """Return the link from one page to another."""
    return posixpath.relpath(uri, posixpath.dirname(of) or ".")


def outside_of_code(change, text: str) -> str:
    """Apply `change` to what is between fenced blocks."""
    parts, end = [], 0
    for block in FENCE.finditer(text):
        parts += [change(text[end : block.start()]), block[0]]
        end = block.end()
    return "".join([*parts, change(text[end:])])
