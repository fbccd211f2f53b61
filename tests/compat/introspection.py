"""What one class promises, in a form in which E2B's and localbox's can be compared."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import types
import typing
from typing import Any

# Aliases that mean the same type on both sides.
ALIASES = {
    "Any": "Any",
    "AsyncIterator": "AsyncIterator",
    "Dict": "dict",
    "IO[Any]": "IO",
    "List": "list",
    "NoneType": "None",
    "Stderr": "str",
    "Stdout": "str",
    "PtyOutput": "bytes",
    "Username": "str",
}


def signature(function: Any) -> list[tuple[str, str, object]]:
    """Name, kind and default of every parameter."""
    return [
        (parameter.name, parameter.kind.name, parameter.default)
        for parameter in inspect.signature(function).parameters.values()
    ]


def without_own_keywords(
    ours: list[tuple[str, str, object]], theirs: list[tuple[str, str, object]]
) -> list[tuple[str, str, object]]:
    """Drop the keyword-only parameters with a default that only localbox has."""
    known = {name for name, _, _ in theirs}
    return [
        (name, kind, default)
        for name, kind, default in ours
        if name in known or kind != "KEYWORD_ONLY" or default is inspect.Parameter.empty
    ]


def how_called(owner: type, name: str) -> str:
    """Whether the member is a property, a class method or a method, and whether it is awaited."""
    static = inspect.getattr_static(owner, name)
    if isinstance(static, property):
        return "property"
    form = "class method" if isinstance(static, classmethod | staticmethod) else "method"
    function = inspect.unwrap(getattr(owner, name))
    return f"async {form}" if inspect.iscoroutinefunction(function) else form


def returned(function: Any) -> str | None:
    """The annotated return type in one spelling, None if there is none."""
    function = inspect.unwrap(function)
    function = getattr(function, "__func__", function)
    annotation = getattr(function, "__annotations__", {}).get("return", inspect.Parameter.empty)
    return None if annotation is inspect.Parameter.empty else spelled(annotation)


def spelled(annotation: object) -> str:
    """One spelling for a type, whether it is an object or still the text of one."""
    if isinstance(annotation, str):
        return _spelled_text(ast.parse(annotation, mode="eval").body)
    if isinstance(annotation, typing.ForwardRef):
        return spelled(annotation.__forward_arg__)
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return _union(spelled(member) for member in typing.get_args(annotation))
    if origin is typing.Literal:
        return _generic("Literal", [repr(value) for value in typing.get_args(annotation)])
    if origin is not None:
        return _generic(origin.__name__, [spelled(item) for item in typing.get_args(annotation)])
    if annotation is None or annotation is type(None):
        return "None"
    if isinstance(annotation, list):  # the parameters of a Callable
        return f"[{', '.join(spelled(item) for item in annotation)}]"
    name = getattr(annotation, "__name__", None) or str(annotation)
    return ALIASES.get(name, name)


def _spelled_text(node: ast.expr) -> str:
    match node:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _union([_spelled_text(left), _spelled_text(right)])
        case ast.Subscript(value=value, slice=inner):
            name = _spelled_text(value)
            items = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            if name == "Optional":
                return _union([_spelled_text(inner), "None"])
            if name == "Union":
                return _union(_spelled_text(item) for item in items)
            if name == "Literal":
                return _generic("Literal", [ast.unparse(item) for item in items])
            return _generic(name, [_spelled_text(item) for item in items])
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return ALIASES.get(name, name)
        case ast.Constant(value=None):
            return "None"
        case ast.Constant(value=str() as text):
            return spelled(text)
    return ast.unparse(node)


def _generic(name: str, arguments: list[str]) -> str:
    name = ALIASES.get(name, name)
    text = f"{name}[{', '.join(arguments)}]"
    return ALIASES.get(text, text)


def _union(members: typing.Iterable[str]) -> str:
    flat = {part for member in members for part in _split_union(member)}
    return " | ".join(sorted(flat))


def _split_union(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for position, character in enumerate(text):
        depth += (character == "[") - (character == "]")
        if depth == 0 and text.startswith(" | ", position):
            parts.append(text[start:position])
            start = position + 3
    return [*parts, text[start:]]


def dataclass_shape(owner: type) -> dict[str, object]:
    """Fields in order, with type, default and whether keyword-only; and how the class is made."""
    parameters = owner.__dataclass_params__  # type: ignore[attr-defined]
    return {
        "fields": [
            (
                field.name,
                spelled(field.type),
                field.default,
                field.default_factory,
                field.kw_only,
            )
            for field in dataclasses.fields(owner)
        ],
        "frozen": parameters.frozen,
        "eq": parameters.eq,
        "order": parameters.order,
    }


def typed_dict_shape(owner: Any) -> dict[str, object]:
    # `from __future__ import annotations` leaves NotRequired unseen on some versions, so look.
    optional = {
        name
        for name, annotation in owner.__annotations__.items()
        if "NotRequired" in str(annotation) or name in owner.__optional_keys__
    }
    return {"keys": set(owner.__annotations__), "optional": optional}
