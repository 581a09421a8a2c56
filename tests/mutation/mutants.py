"""Small changes to a module's source, each of which a good test file should notice."""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult, ast.Mod: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.And: ast.Or, ast.Or: ast.And, ast.Break: ast.Continue, ast.Continue: ast.Break,
}  # fmt: skip
# Types and decorators change nothing that runs, or all of it.
LEFT_ALONE = ("annotation", "returns", "decorator_list", "bases")


@dataclass(frozen=True)
class Mutant:
    """A module with one change: the line, the code before and after, and the whole source."""

    line: int
    before: str
    after: str
    source: str

    @property
    def name(self) -> str:
        """What tells it from the module's other mutants."""
        return f"{self.line}: {self.before} -> {self.after}"


def mutants(source: str) -> Iterator[Mutant]:
    """Yield every mutant of a module's source."""
    tree = ast.parse(source)
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if field in LEFT_ALONE:
                _empty(parent, field, value)
    seen: dict[str, int] = {}
    intact = ast.parse(source)
    for before, after, change, undo in _changes(intact, {_place(node) for node in ast.walk(tree)}):
        change()
        mutated = ast.unparse(intact)
        undo()
        old, new = _told(before, after)
        text = f"{before.lineno}: {old} -> {new}"
        seen[text] = seen.get(text, 0) + 1
        again = f" ({seen[text]})" if seen[text] > 1 else ""
        yield Mutant(before.lineno, old, new + again, mutated)


def _empty(parent: ast.AST, field: str, value: object) -> None:
    """Take a part out of a tree that is only looked at to learn which places may change."""
    setattr(parent, field, [] if isinstance(value, list) else ast.Constant(None))


def _place(node: ast.AST) -> tuple[type[ast.AST], int, int, int, int]:
    end = getattr(node, "end_lineno", 0), getattr(node, "end_col_offset", 0)
    return type(node), getattr(node, "lineno", 0), getattr(node, "col_offset", 0), *end


def _changes(tree: ast.AST, allowed: set):  # type: ignore[no-untyped-def]
    """Yield what may change: the node before and after, and functions that put in the new and the old one."""
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            nodes = value if isinstance(value, list) else [value]
            for index, node in enumerate(nodes):
                if not hasattr(node, "lineno") or _place(node) not in allowed:
                    continue
                for new in alternatives(node):
                    put = _putter(parent, field, index if isinstance(value, list) else None)
                    yield node, new, lambda put=put, new=new: put(new), lambda put=put, node=node: put(node)


def _putter(parent: ast.AST, field: str, index: int | None):  # type: ignore[no-untyped-def]
    def put(node: ast.AST) -> None:
        if index is None:
            setattr(parent, field, node)
        else:
            getattr(parent, field)[index] = node

    return put


def alternatives(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what a node is changed into."""
    if isinstance(node, ast.Compare):
        for i, op in enumerate(node.ops):
            yield _with(node, ops=[*node.ops[:i], SWAPPED[type(op)](), *node.ops[i + 1 :]])
    elif isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and type(node.op) in SWAPPED:
        yield _with(node, op=SWAPPED[type(node.op)]())
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield _with(node, value=not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield _with(node, value=node.value + 1 if isinstance(node.value, int) else (node.value * 2 or 1.0))
    elif isinstance(node, ast.If | ast.IfExp):
        yield _with(node, test=ast.copy_location(ast.UnaryOp(ast.Not(), node.test), node.test))
    elif isinstance(node, ast.Break | ast.Continue):
        yield ast.copy_location(SWAPPED[type(node)](), node)
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield ast.copy_location(ast.Pass(), node)
    elif isinstance(node, ast.Call):
        for i, keyword in enumerate(node.keywords):
            if keyword.arg is not None:
                yield _with(node, keywords=[*node.keywords[:i], *node.keywords[i + 1 :]])


def _with(node: ast.AST, **fields: object) -> ast.AST:
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def _told(before: ast.AST, after: ast.AST) -> tuple[str, str]:
    """Return the code before and after in a few words, for people."""
    if isinstance(before, ast.Call) and isinstance(after, ast.Call):
        (gone,) = (keyword for keyword in before.keywords if keyword not in after.keywords)
        return f"{_code(before.func)}(..., {gone.arg}={_code(gone.value)})", "without it"
    if isinstance(before, ast.If) and isinstance(after, ast.If):
        return f"if {_code(before.test)}", f"if {_code(after.test)}"
    return _code(before), _code(after)


def _code(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())[:90]
