"""Pages of the documentation: what the rooms that work alone offer, from their docstrings.

They are made when the documentation is built (docs/project_files.py) and kept nowhere, so that
they cannot differ from the code.  The source is read, not imported: no library is loaded.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from lowdose.provenance import PACKAGE

# Those that a program of another may use without the rest of the study.
ROOMS = ("columns", "microscope", "training", "denoisers")

_SECTION = re.compile(r"^([A-Z][A-Za-z ]+)\n-{3,}\n", re.MULTILINE)
_ROLE = re.compile(r":\w+:`~?([^`]+)`")
# Sections whose entries are "name : type", each with an indented text.
_ENTRIES = ("Parameters", "Attributes", "Returns", "Yields", "Raises")
_WIDTH = 88

Definition = ast.FunctionDef | ast.ClassDef


def pages() -> dict[str, str]:
    """Return the pages: path in the documentation to Markdown."""
    return {f"api/{room}.md": page(room) for room in ROOMS}


def page(room: str) -> str:
    """Return the page of a room as Markdown."""
    lines = [f"# `lowdose.{room}`", ""]
    for path in sorted((PACKAGE / room).rglob("*.py")):
        lines += _module(path)
    return "\n".join(lines).rstrip() + "\n"


def public(body: list[ast.stmt]) -> list[Definition]:
    """Return the functions and classes of a module or class that others may use.

    Those whose name has no underscore in front and that say what they are for.
    """
    return [
        node
        for node in body
        if isinstance(node, Definition)
        and not node.name.startswith("_")
        and ast.get_docstring(node) is not None
    ]


def _module(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    offered = public(tree.body)
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    is_room = parts[-1] == "__init__" and len(parts) == 3
    if not offered and not is_room:
        return
    if not is_room:
        yield from (f"## `{'.'.join(parts)}`", "")
    yield from (*_prose(ast.get_docstring(tree) or ""), "")
    for node in offered:
        yield from _definition(node, "###", node.name)


def _definition(node: Definition, level: str, name: str) -> Iterator[str]:
    yield from (f"{level} `{name}`", "", "```python", *signature(node).splitlines(), "```", "")
    yield from (*described(ast.get_docstring(node)), "")
    if isinstance(node, ast.ClassDef):
        for method in public(node.body):
            if "property" not in {ast.unparse(d) for d in method.decorator_list}:
                yield from _definition(method, level + "#", f"{name}.{method.name}")


def signature(node: Definition) -> str:
    """Return how a function is called or a class is made, on one line or one a parameter.

    A class without a constructor of its own (a dataclass, a named tuple) lists its fields.
    """
    if isinstance(node, ast.ClassDef):
        maker = next((n for n in node.body if getattr(n, "name", "") == "__init__"), None)
        if maker is None:
            fields = [f for f in node.body if isinstance(f, ast.AnnAssign) and _is_field(f)]
            parameters = [ast.unparse(field) for field in fields]
            return _wrapped(f"class {node.name}", parameters, "")
    else:
        maker = node
    parameters = [p for p in _parameters(maker.args) if p.split(":")[0] not in ("self", "cls")]
    returns = f" -> {ast.unparse(maker.returns)}" if maker.returns and maker is node else ""
    return _wrapped(f"{'class ' if maker is not node else ''}{node.name}", parameters, returns)


def _is_field(node: ast.AnnAssign) -> bool:
    return not ast.unparse(node.target).startswith("_") and "ClassVar" not in ast.unparse(
        node.annotation
    )


def _parameters(arguments: ast.arguments) -> list[str]:
    """Return each parameter with annotation and default, with the bare ``*``."""
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults
    found = [_parameter(*both) for both in zip(positional, defaults, strict=True)]
    if arguments.vararg:
        found.append(f"*{_parameter(arguments.vararg, None)}")
    elif arguments.kwonlyargs:
        found.append("*")
    found += [
        _parameter(*both) for both in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    ]
    if arguments.kwarg:
        found.append(f"**{_parameter(arguments.kwarg, None)}")
    return found


def _parameter(argument: ast.arg, default: ast.expr | None) -> str:
    text = ast.unparse(argument)
    if default is None:
        return text
    equals = " = " if argument.annotation else "="
    return f"{text}{equals}{ast.unparse(default)}"


def _wrapped(head: str, parameters: list[str], returns: str) -> str:
    line = f"{head}({', '.join(parameters)}){returns}"
    if len(line) <= _WIDTH or not parameters:
        return line
    return "\n".join([f"{head}(", *(f"    {p}," for p in parameters), f"){returns}"])


def described(docstring: str) -> list[str]:
    """Return a numpydoc docstring as Markdown: its text, then a list for each section."""
    text, *rest = _SECTION.split(docstring)
    lines = _prose(text)
    for title, body in zip(rest[::2], rest[1::2], strict=True):
        lines += ["", f"**{title}**", ""]
        lines += _entries(body) if title in _ENTRIES else _prose(body)
    return lines


def _entries(body: str) -> list[str]:
    """Return "name : type" and indented text as a list."""
    lines: list[str] = []
    for line in body.rstrip().splitlines():
        if line.strip() and not line.startswith(" "):
            name, colon, kind = line.partition(" : ")
            lines.append(f"- `{name}`" + (f": {_inline(kind)}" if colon else ""))
            continue
        text = _inline(line.strip())
        if text:
            # Two spaces before would end the line; a break sets the text off from the type.
            lines.append(f"    {text}")
    return [_with_break(lines, place) for place in range(len(lines))]


def _with_break(lines: list[str], place: int) -> str:
    """Return a line of a list; the first one of an entry ends where its text begins."""
    follows = place + 1 < len(lines) and lines[place + 1].startswith("    ")
    return lines[place] + ("<br>" if lines[place].startswith("- ") and follows else "")


def _prose(text: str) -> list[str]:
    return [_inline(line) for line in inspect.cleandoc(text).splitlines()]


def _inline(text: str) -> str:
    """Return a line without reStructuredText's own marks."""
    return _ROLE.sub(r"`\1`", text).replace("``", "`")
