"""What the comments of the contract's source say: of every column of generator/schema.py, of every outcome of generator/names.py."""

from __future__ import annotations

import ast
import inspect
import io
import tokenize
from types import ModuleType

from generator import names, schema


def column_comments() -> dict[str, dict[str, str]]:
    """Table → column → its comment in generator/schema.py."""
    found: dict[str, dict[str, str]] = {table: {} for table in schema.TABLES | schema.OPTIONAL_TABLES}
    tree, comments = _read(schema)
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=variable)], value=ast.Call(args=[ast.List(elts=columns)])):
                for column in columns:
                    if isinstance(column, ast.Tuple) and isinstance(column.elts[0], ast.Constant):
                        found[variable.lower()][str(column.elts[0].value)] = _beside(column, comments)
    return found


def outcome_comments() -> dict[str, str]:
    """Outcome → its comment in generator/names.py."""
    tree, comments = _read(names)
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id="OUTCOMES")], value=ast.Tuple(elts=words)):
                return {str(w.value): _beside(w, comments) for w in words if isinstance(w, ast.Constant)}
    raise LookupError("generator/names.py has no OUTCOMES")


def _read(module: ModuleType) -> tuple[ast.Module, dict[int, str]]:
    """A module's tree, and its comments by line."""
    source = inspect.getsource(module)
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return ast.parse(source), {t.start[0]: t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT}


def _beside(node: ast.expr, comments: dict[int, str]) -> str:
    lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
    return " ".join(comments[line] for line in lines if line in comments)
