"""Reads conditions into typed trees. The text is Python's expression syntax, looked at and never executed."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from features.catalogue import Catalogue
from features.codes import matches
from features.rules.arguments import out_of_reach, wrong_argument
from features.rules.files import Node, RuleFileRefused
from features.rules.words import CODE_KEYWORDS, FILTER, TEXT_KEYWORDS, WINDOW, WORDS, Kind, Takes, Where, Word

OPERATIONS: dict[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
COMPARISONS: dict[type[ast.cmpop], str] = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "=="}
DEEPEST = 60


@dataclass(frozen=True)
class Literal:
    """A number written out."""

    value: float


@dataclass(frozen=True)
class Param:
    """`pack.<name>`: a parameter of the region, in force at the moment."""

    name: str


@dataclass(frozen=True)
class Quantity:
    """A named expression of the quantities file."""

    name: str


Option = float | bool | tuple[str, ...] | Param


@dataclass(frozen=True)
class Call:
    """A word with its arguments. `codes` are patterns as written; `options` are sorted by name."""

    word: str
    codes: tuple[str, ...] = ()
    parts: tuple[Tree, ...] = ()
    numbers: tuple[float, ...] = ()
    name: str = ""
    options: tuple[tuple[str, Option], ...] = ()

    def option(self, name: str) -> Option | None:
        """One keyword's value, None if it was not given."""
        return self._options.get(name)

    @cached_property
    def _options(self) -> dict[str, Option]:
        return dict(self.options)

    @cached_property
    def window(self) -> tuple[tuple[str, Option], ...]:
        """The keywords that say when."""
        return tuple((name, value) for name, value in self.options if name in WINDOW)

    @cached_property
    def is_filtered(self) -> bool:
        """Whether a keyword asks for more than a code and a window."""
        return any(name in FILTER for name, _ in self.options)


@dataclass(frozen=True)
class Arithmetic:
    """`a + b` and the like."""

    operation: str
    a: Tree
    b: Tree


@dataclass(frozen=True)
class Comparison:
    """`a < b` and the like."""

    operation: str
    a: Tree
    b: Tree


@dataclass(frozen=True)
class Logic:
    """`a and b`, `a or b`."""

    operation: str
    parts: tuple[Tree, ...]


@dataclass(frozen=True)
class Negation:
    """`not a`."""

    a: Tree


@dataclass(frozen=True)
class Choice:
    """`a if condition else b`."""

    condition: Tree
    a: Tree
    b: Tree


Tree = Literal | Param | Quantity | Call | Arithmetic | Comparison | Logic | Negation | Choice


@dataclass(frozen=True)
class Definition:
    """A quantity: its expression, what it is, and where it may stand."""

    name: str
    tree: Tree
    kind: Kind


@dataclass(frozen=True)
class Language:
    """What conditions may speak of: the catalogue's codes, the declared parameters and the quantities read so far."""

    catalogue: Catalogue
    numbers: frozenset[str]
    texts: frozenset[str]
    quantities: Mapping[str, Definition] = field(default_factory=dict)


class _Unreadable(Exception):
    """A reason and the line within the text."""

    def __init__(self, reason: str, line: int) -> None:
        super().__init__(reason)
        self.reason, self.line = reason, line


def read_condition(node: Node, language: Language) -> Tree:
    """A condition about a household. Raises `RuleFileRefused` with file, line and reason."""
    return _read(node, language, Kind.TRUTH)


def read_expression(node: Node, language: Language) -> tuple[Tree, Kind]:
    """A number or condition for the quantities file; it may be about a household or about a person."""
    return _parsed(node, language, None)


def _read(node: Node, language: Language, wanted: Kind) -> Tree:
    tree, _ = _parsed(node, language, wanted)
    for problem in _misplaced(tree, language, Where.HOUSEHOLD):
        raise node.refuse(problem)
    return tree


def _parsed(node: Node, language: Language, wanted: Kind | None) -> tuple[Tree, Kind]:
    text = node.content
    if isinstance(text, bool | int | float):
        text = str(text)
    if not isinstance(text, str):
        raise node.refuse("must be an expression of the rule language")
    try:
        parsed = ast.parse(f"({text.strip()})", mode="eval").body
        tree, kind = _Reader(language).tree(parsed)
        if (parsed.lineno, parsed.col_offset) == (1, 0):
            raise _Unreadable("closes a bracket that it did not open", 1)
        if wanted is not None and kind is not wanted:
            raise _Unreadable(f"is a {kind.value} where a {wanted.value} is needed", 1)
    except SyntaxError as error:
        raise RuleFileRefused(node.file, node.line + (error.lineno or 1) - 1, "is no readable expression") from None
    except (RecursionError, MemoryError, ValueError, OverflowError):
        raise node.refuse("is no readable expression") from None
    except _Unreadable as error:
        raise RuleFileRefused(node.file, node.line + error.line - 1, error.reason) from None
    return tree, kind


# Equal expressions are one object, so that whoever evaluates them can tell them apart by identity.
_ONE: dict[Tree, Tree] = {}


def one(tree: Tree) -> Tree:
    """The one object that stands for all expressions equal to this one."""
    return _ONE.setdefault(tree, tree)


class _Reader:
    def __init__(self, language: Language) -> None:
        self.language = language
        self.depth = 0

    def tree(self, node: ast.expr) -> tuple[Tree, Kind]:
        self.depth += 1
        if self.depth > DEEPEST:
            raise _Unreadable("is nested too deeply; make a part of it a quantity", node.lineno)
        tree, kind = self.read(node)
        self.depth -= 1
        return one(tree), kind

    def read(self, node: ast.expr) -> tuple[Tree, Kind]:
        readers: dict[type[ast.expr], Callable[..., tuple[Tree, Kind]]] = {
            ast.Constant: self.constant,
            ast.Name: self.name,
            ast.Attribute: self.parameter,
            ast.Call: self.call,
            ast.BinOp: self.arithmetic,
            ast.UnaryOp: self.unary,
            ast.Compare: self.comparison,
            ast.BoolOp: self.logic,
            ast.IfExp: self.choice,
        }
        read = readers.get(type(node))
        if read is None:
            raise _Unreadable(f"{type(node).__name__} is not part of the language", node.lineno)
        return read(node)

    def wanted(self, node: ast.expr, kind: Kind) -> Tree:
        tree, found = self.tree(node)
        if found is not kind:
            raise _Unreadable(f"a {kind.value} is needed, not a {found.value}", node.lineno)
        return tree

    def constant(self, node: ast.Constant) -> tuple[Tree, Kind]:
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            raise _Unreadable("only numbers may be written out", node.lineno)
        if not math.isfinite(node.value):
            raise _Unreadable("a number must be finite", node.lineno)
        return Literal(float(node.value)), Kind.NUMBER

    def name(self, node: ast.Name) -> tuple[Tree, Kind]:
        word = WORDS.get(node.id)
        if word is not None:
            if word.takes is not Takes.NOTHING:
                raise _Unreadable(f"{node.id} needs {word.takes.value} in brackets", node.lineno)
            return Call(node.id), word.gives
        quantity = self.language.quantities.get(node.id)
        if quantity is None:
            raise _Unreadable(f"{node.id!r} is neither a word nor a quantity declared before", node.lineno)
        return Quantity(node.id), quantity.kind

    def parameter(self, node: ast.Attribute) -> tuple[Tree, Kind]:
        if not isinstance(node.value, ast.Name) or node.value.id != "pack":
            raise _Unreadable("only pack.<parameter> has a dot", node.lineno)
        if node.attr not in self.language.numbers:
            raise _Unreadable(f"pack.{node.attr} is no declared number; see parameters.yaml", node.lineno)
        return Param(node.attr), Kind.NUMBER

    def arithmetic(self, node: ast.BinOp) -> tuple[Tree, Kind]:
        if type(node.op) not in OPERATIONS:
            raise _Unreadable(f"{type(node.op).__name__} is not part of the language", node.lineno)
        a, b = self.wanted(node.left, Kind.NUMBER), self.wanted(node.right, Kind.NUMBER)
        operation = OPERATIONS[type(node.op)]
        counted = isinstance(b, Param | Quantity) or (isinstance(b, Call) and b.word == "members")
        if operation == "/" and not (counted or (isinstance(b, Literal) and b.value > 0)):
            raise _Unreadable("division is by a positive number, members or a quantity; compare products", node.lineno)
        return Arithmetic(operation, a, b), Kind.NUMBER

    def unary(self, node: ast.UnaryOp) -> tuple[Tree, Kind]:
        if isinstance(node.op, ast.Not):
            return Negation(self.wanted(node.operand, Kind.TRUTH)), Kind.TRUTH
        if isinstance(node.op, ast.USub):
            return Arithmetic("-", Literal(0.0), self.wanted(node.operand, Kind.NUMBER)), Kind.NUMBER
        raise _Unreadable(f"{type(node.op).__name__} is not part of the language", node.lineno)

    def comparison(self, node: ast.Compare) -> tuple[Tree, Kind]:
        sides = [self.wanted(side, Kind.NUMBER) for side in (node.left, *node.comparators)]
        unknown = [op for op in node.ops if type(op) not in COMPARISONS]
        if unknown:
            raise _Unreadable(f"{type(unknown[0]).__name__} is not part of the language", node.lineno)
        pairs = tuple(Comparison(COMPARISONS[type(op)], sides[i], sides[i + 1]) for i, op in enumerate(node.ops))
        return (pairs[0] if len(pairs) == 1 else Logic("and", pairs)), Kind.TRUTH

    def logic(self, node: ast.BoolOp) -> tuple[Tree, Kind]:
        operation = "and" if isinstance(node.op, ast.And) else "or"
        return Logic(operation, tuple(self.wanted(part, Kind.TRUTH) for part in node.values)), Kind.TRUTH

    def choice(self, node: ast.IfExp) -> tuple[Tree, Kind]:
        condition = self.wanted(node.test, Kind.TRUTH)
        return (
            Choice(condition, self.wanted(node.body, Kind.NUMBER), self.wanted(node.orelse, Kind.NUMBER)),
            Kind.NUMBER,
        )

    def call(self, node: ast.Call) -> tuple[Tree, Kind]:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        word = WORDS.get(name)
        if word is None:
            raise _Unreadable(f"{name or 'this'!r} is no word of the language", node.lineno)
        given = {keyword.arg for keyword in node.keywords}
        if len(given) < len(node.keywords):
            raise _Unreadable(f"{name} is given one keyword twice", node.lineno)
        options = tuple(sorted(self.option(word, keyword) for keyword in node.keywords))
        missing = [key for key in word.required if key not in given]
        if missing:
            raise _Unreadable(f"{name} needs {', '.join(missing)}=", node.lineno)
        if len({"days", "months", "this_year", "ahead_days"} & given) > 1 or (
            "from_days" in given and "days" not in given
        ):
            raise _Unreadable(f"{name} has windows that contradict each other", node.lineno)
        call = self.with_arguments(word, node, options)
        wrong = wrong_argument(call, self.language.catalogue)
        if wrong is not None:
            raise _Unreadable(wrong, node.lineno)
        return call, word.gives

    def with_arguments(self, word: Word, node: ast.Call, options: tuple[tuple[str, Option], ...]) -> Call:
        name, n = word.name, len(node.args)
        if word.takes is Takes.CODES:
            if n != 1:
                raise _Unreadable(f"{name} needs event codes; several go into one list", node.lineno)
            return Call(name, codes=self.codes(node.args[0]), options=options)
        if word.takes is Takes.NAME:
            if n != 1 or not isinstance(node.args[0], ast.Constant) or not isinstance(node.args[0].value, str):
                raise _Unreadable(f"{name} needs one name in quotes", node.lineno)
            return Call(name, name=node.args[0].value, options=options)
        if word.takes is Takes.LITERAL_NUMBERS:
            numbers = [self.tree(argument)[0] for argument in node.args]
            if not numbers or not all(isinstance(number, Literal) for number in numbers):
                raise _Unreadable(f"{name} needs numbers written out", node.lineno)
            return Call(name, numbers=tuple(number.value for number in numbers if isinstance(number, Literal)))
        if word.takes is Takes.NUMBERS:
            return Call(name, parts=tuple(self.wanted(argument, Kind.NUMBER) for argument in node.args))
        if word.takes is Takes.NOTHING or n != 1:
            raise _Unreadable(f"{name} needs {word.takes.value}", node.lineno)
        wanted = Kind.TRUTH if word.takes is Takes.TRUTH else Kind.NUMBER
        return Call(name, parts=(self.wanted(node.args[0], wanted),), options=options)

    def option(self, word: Word, keyword: ast.keyword) -> tuple[str, Option]:
        name, value = keyword.arg or "", keyword.value
        if name not in word.keywords:
            raise _Unreadable(f"{word.name} knows no {name}=", value.lineno)
        if name in CODE_KEYWORDS:
            return name, self.codes(value)
        if name in TEXT_KEYWORDS:
            return name, self.texts(value)
        if name == "this_year":
            if not (isinstance(value, ast.Constant) and value.value is True):
                raise _Unreadable("this_year= can only be True", value.lineno)
            return name, True
        tree = self.wanted(value, Kind.NUMBER)
        if isinstance(tree, Literal):
            return name, tree.value
        if isinstance(tree, Param) and name in ("at_least", "at_most"):
            return name, tree
        raise _Unreadable(f"{name}= needs a number written out", value.lineno)

    def texts(self, node: ast.expr) -> tuple[str, ...] | Param:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "pack":
            if node.attr not in self.language.texts:
                raise _Unreadable(f"pack.{node.attr} is no declared list of texts", node.lineno)
            return Param(node.attr)
        parts = node.elts if isinstance(node, ast.List | ast.Tuple) else [node]
        if not all(isinstance(part, ast.Constant) and isinstance(part.value, str) for part in parts):
            raise _Unreadable("texts are needed here, in quotes", node.lineno)
        return tuple(str(part.value) for part in parts if isinstance(part, ast.Constant))

    def codes(self, node: ast.expr) -> tuple[str, ...]:
        parts = node.elts if isinstance(node, ast.List | ast.Tuple) else [node]
        if not parts:
            raise _Unreadable("an event code is needed, such as CLM//INPATIENT", node.lineno)
        return tuple(self.code(part) for part in parts)

    def code(self, node: ast.expr) -> str:
        pattern = ""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            pattern = node.value
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.FloorDiv):
            pattern = f"{ast.unparse(node.left)}//{ast.unparse(node.right)}"
        if not pattern:
            raise _Unreadable("an event code is needed, such as CLM//INPATIENT", node.lineno)
        if not any(matches(pattern, kind.code) for kind in self.language.catalogue.kinds):
            raise _Unreadable(f"{pattern} is no event code of the catalogue", node.lineno)
        return pattern


def indicators_named(tree: Tree, language: Language) -> set[str]:
    """Ids of the indicators that a tree asks for."""
    return {part.name for part in walked(tree, language) if isinstance(part, Call) and part.word == "indicator"}


def walked(tree: Tree, language: Language) -> Iterator[Tree]:
    """The tree and everything below it, quantities written out."""
    yield tree
    for part in parts_of(tree, language):
        yield from walked(part, language)


def parts_of(tree: Tree, language: Language) -> tuple[Tree, ...]:
    """What stands directly below a tree."""
    if isinstance(tree, Quantity):
        return (language.quantities[tree.name].tree,)
    if isinstance(tree, Call | Logic):
        return tree.parts
    if isinstance(tree, Arithmetic | Comparison):
        return (tree.a, tree.b)
    if isinstance(tree, Negation):
        return (tree.a,)
    if isinstance(tree, Choice):
        return (tree.condition, tree.a, tree.b)
    return ()


def _misplaced(tree: Tree, language: Language, scope: Where) -> Iterator[str]:
    """Words that are asked of the wrong one."""
    inner = scope
    if isinstance(tree, Call):
        word = WORDS[tree.word]
        if word.where not in (Where.EITHER, scope):
            yield f"{tree.word} is asked of a {word.where.value}, not of a {scope.value}"
        silent = out_of_reach(tree, language.catalogue) if scope is Where.PERSON else None
        if silent is not None:
            yield silent
        inner = Where.PERSON if word.opens_person else scope
    for part in parts_of(tree, language):
        yield from _misplaced(part, language, inner)
