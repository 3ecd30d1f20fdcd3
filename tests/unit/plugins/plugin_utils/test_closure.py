# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What programs of hosts need of the collection, and what of it only people read."""

from __future__ import annotations

import ast

import pytest
from ansible_collections.day2.ops.plugins.plugin_utils.closure import ROOT, UTILS, closure, imported, without_words

UTILITIES = sorted((ROOT / "plugins/module_utils").rglob("*.py"))


@pytest.mark.parametrize(
    ("source", "left"),
    [
        ('"""Doc."""\n\nx = 1', "\n\nx = 1"),
        (
            '# licence\n\n"""Doc.\n\nMore."""\nfrom __future__ import annotations',
            "\n\n\n\n\nfrom __future__ import annotations",
        ),
        ('class A(Error):\n    """Doc."""', "class A(Error):\n    pass"),
        ('def f():\n    """Doc.\n    More.\n    """\n    return 1', "def f():\n\n\n\n    return 1"),
        ('async def f():\n    """Doc.\n    More."""', "async def f():\n    pass\n"),
        ("def f():\n    # why\n    return 1  # noqa", "def f():\n\n    return 1  # noqa"),
        # What only looks like a comment, or like a docstring.
        ('x = """\n# no comment\n"""\n# one', 'x = """\n# no comment\n"""\n'),
        ('x = f"""\n# {1}\n"""', 'x = f"""\n# {1}\n"""'),
        ('x = 1\n"""no docstring"""', 'x = 1\n"""no docstring"""'),
        ('def f():\n    b"bytes"', 'def f():\n    b"bytes"'),
    ],
)
def test_words_are_left_out_and_lines_keep_their_numbers(source: str, left: str) -> None:
    assert without_words(source) == left


class Words(ast.NodeTransformer):
    """Leaves out docstrings, by another way: in the tree."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if hasattr(node, "body") and not isinstance(node, ast.IfExp | ast.Lambda | ast.Expression):
            first = node.body[0] if node.body else None
            documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            if documented and isinstance(first, ast.Expr) and isinstance(getattr(first.value, "value", None), str):
                node.body = node.body[1:] or ([] if isinstance(node, ast.Module) else [ast.Pass()])
        return node


def test_every_file_is_the_same_program_without_words() -> None:
    for path in UTILITIES:
        source = path.read_text()
        bare, whole = ast.parse(without_words(source)), ast.parse(source)
        lines = {node.lineno for node in ast.walk(whole) if isinstance(node, ast.stmt)}
        assert ast.dump(bare) == ast.dump(Words().visit(whole)), path
        # Statements stand where they stood.
        assert {node.lineno for node in ast.walk(bare) if isinstance(node, ast.stmt)} <= lines, path


def test_what_every_file_imports_is_seen() -> None:
    for path in UTILITIES:
        nodes = list(ast.walk(ast.parse(path.read_text())))
        said = [node for node in nodes if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(UTILS)]
        names = {f"{node.module}.{alias.name}" for node in said for alias in node.names}
        names |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        assert {name for name in names if name.startswith(UTILS)} <= set(imported(path.read_text())), path


def test_what_functions_import_is_there_and_nothing_else() -> None:
    utilities = UTILS.replace(".", "/")
    found = {path.removeprefix(f"{utilities}/") for path in closure([f"{UTILS}.postgres.server"])}
    assert {"postgres/server.py", "postgres/__init__.py", "errors.py"} <= found
    assert not [name for name in found if name.startswith(("probes/", "maintenance/"))]
