"""E2B's whole surface, item by item, and what localbox has in each item's place.

    python -m tests.compat.surface        # prints what is missing or different

An item is a public name of the package, a method, a field or an enum's member of one of its
classes, or a method behind `sandbox.files`, `commands`, `pty` and `git`. Its shape is plain data:
two items are compatible if their shapes are equal, save for keyword-only parameters of our own.
"""

from __future__ import annotations

import builtins
import collections.abc
import dataclasses
import functools
import importlib
import inspect
import pkgutil
import types
import typing
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

from tests.compat.introspection import spelled

Shape = dict[str, object]
Sides = tuple[dict[str, Shape], dict[str, Shape]]
PROTOCOL = {"__init__", "__enter__", "__exit__", "__aenter__", "__aexit__", "__iter__"}
BEHIND = ["files", "commands", "pty", "git"]


@dataclasses.dataclass
class Package:
    """One side of the comparison: a package and all that its annotations may name."""

    root: types.ModuleType
    names: dict[str, Any]

    @classmethod
    def load(cls, name: str) -> Package:
        root = importlib.import_module(name)
        names: dict[str, Any] = {**vars(typing), **vars(collections.abc), **vars(builtins)}
        for module in pkgutil.walk_packages(root.__path__, f"{name}."):
            # Programs to be run, which look at their arguments when imported.
            if not module.name.endswith("__main__") and "api.client." not in module.name:
                names.update(_classes(_imported(module.name)))
        names.update({key: getattr(root, key) for key in _public(root)})
        return cls(root, names)

    def owns(self, function: Any) -> bool:
        module = getattr(inspect.unwrap(function), "__module__", None) or ""
        # Everything of e2b is in e2b_code_interpreter too.
        return module.split(".")[0].startswith(self.root.__name__.split("_")[0])

    def resolve(self, annotation: object, module_name: str) -> object:
        """The type an annotation means, be it text or not; the text if it names the unknown."""
        if isinstance(annotation, typing.ForwardRef):
            annotation = annotation.__forward_arg__
        if not isinstance(annotation, str):
            return annotation
        module = importlib.import_module(module_name)
        try:
            return eval(annotation, {**self.names, **vars(module)})
        except (NameError, TypeError, AttributeError):
            return annotation

    def spell(self, annotation: object, module_name: str) -> str:
        text = spelled(self.resolve(annotation, module_name))
        return text.removeprefix("NotRequired[").removesuffix("]") if "NotReq" in text else text


def _imported(name: str) -> types.ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None  # an extra that is not installed


def _classes(module: types.ModuleType | None) -> dict[str, Any]:
    if module is None:
        return {}
    return {
        name: value
        for name, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__
    }


def _public(root: types.ModuleType) -> list[str]:
    names = getattr(root, "__all__", None) or dir(root)
    # What is not in __all__ but imported on purpose is as public.
    more = [name for name, value in vars(root).items() if not inspect.ismodule(value)]
    return sorted({*names, *more} - {name for name in more if name.startswith("_")})


def items(package: Package, names: list[str] | None = None) -> dict[str, Shape]:
    """Every item, by a dotted name."""
    found: dict[str, Shape] = {}
    for name in names or [name for name in _public(package.root) if not name.startswith("_")]:
        value = getattr(package.root, name, None)
        if value is None or inspect.ismodule(value):
            continue
        if inspect.isclass(value) and package.owns(value):
            found[name] = class_shape(value)
            found.update({f"{name}.{key}": s for key, s in members(package, value)})
        elif inspect.isfunction(value):
            found[name] = {"call": call_shape(package, value, bound=False)}
        else:
            # A generic alias is spelled without the names of its variables.
            found[name] = {"value": value if isinstance(value, str) else spelled(value)}
    for sandbox in ["Sandbox", "AsyncSandbox"]:
        for name in BEHIND if sandbox in found else []:
            behind = class_behind(package, getattr(package.root, sandbox), name)
            if behind is not None:
                path = f"{sandbox}.{name}"
                found.update({f"{path}.{key}": s for key, s in members(package, behind)})
    return found


def class_behind(package: Package, sandbox: type, name: str) -> type | None:
    """The class of what a property of the sandbox returns."""
    static = inspect.getattr_static(sandbox, name, None)
    if not isinstance(static, property):
        return None
    annotation = static.fget.__annotations__["return"]
    value = package.resolve(annotation, static.fget.__module__)
    # Both clients have a class of this name: that of the property's own side is meant.
    folder = static.fget.__module__.rsplit(".", 1)[0]
    for module in pkgutil.iter_modules(importlib.import_module(folder).__path__, f"{folder}."):
        if isinstance(annotation, str):
            value = _classes(_imported(module.name)).get(annotation, value)
    return value if inspect.isclass(value) else None


def class_shape(owner: type) -> Shape:
    shape: Shape = {"kind": "class"}
    if issubclass(owner, Exception | Enum):
        # Not its own name, by which E2B calls some that it exports by another.
        shape["parents"] = [base.__name__ for base in owner.__mro__[1:]]
    if dataclasses.is_dataclass(owner):
        parameters = owner.__dataclass_params__  # type: ignore[attr-defined]
        shape["made"] = {key: getattr(parameters, key) for key in ["frozen", "eq", "order"]}
    if typing.is_typeddict(owner):
        shape["kind"] = "typed dictionary"
    return shape


def members(package: Package, owner: type) -> Iterator[tuple[str, Shape]]:
    if typing.is_typeddict(owner):
        for name, annotation in owner.__annotations__.items():
            optional = "NotRequired" in str(annotation) or name in owner.__optional_keys__  # type: ignore[attr-defined]
            kind = package.spell(annotation, owner.__module__)
            yield name, {"key": kind, "optional": optional}
        return
    fields: list[Any] = []
    if dataclasses.is_dataclass(owner):
        fields = [*dataclasses.fields(owner)]
        for position, field in enumerate(fields):
            yield field.name, field_shape(package, owner, position, field)
    if issubclass(owner, Enum):
        for member in owner:
            yield member.name, {"member": member.value, "text": str(member)}
    names = {field.name for field in fields}
    for name, static in inspect.getmembers_static(owner):
        if name in names or (name.startswith("_") and name not in PROTOCOL):
            continue
        forms = forms_of(owner, static)
        if forms and (
            all(package.owns(function) for function, _ in forms.values()) or name == "__init__"
        ):
            yield name, method_shape(package, forms)
        elif isinstance(static, str | int) and not isinstance(static, Enum):
            yield name, {"constant": static}


def field_shape(package: Package, owner: type, position: int, field: Any) -> Shape:
    factory = field.default_factory
    return {
        "position": position,
        "type": package.spell(field.type, owner.__module__),
        "default": None if field.default is dataclasses.MISSING else repr(field.default),
        "factory": None if factory is dataclasses.MISSING else factory.__name__,
        "keyword": field.kw_only,
    }


def forms_of(owner: type, static: object) -> dict[str, tuple[Callable[..., Any], bool]]:
    """The functions behind a member, by the form they are called in, and whether bound."""
    match static:
        case property(fget=function) if function is not None:
            return {"property": (function, True)}
        case classmethod():
            return {"class": (static.__func__, True)}
        case staticmethod():
            return {"class": (static.__func__, False)}
        case types.FunctionType():
            return {"instance": (static, True)}
    if hasattr(static, "class_method_name"):
        name = static.class_method_name
        class_form = forms_of(owner, inspect.getattr_static(owner, name)).get("class")
        dual = {"instance": (static.method, True)}  # type: ignore[attr-defined]
        return {**dual, "class": class_form} if class_form else dual
    for on_class, on_instance in [("_static_fn", "_instance_fn"), ("_on_class", "_on_instance")]:
        if hasattr(static, on_class):
            class_form = forms_of(owner, getattr(static, on_class))["class"]
            return {"instance": (getattr(static, on_instance), True), "class": class_form}
    return {}


def method_shape(
    package: Package, forms: dict[str, tuple[Callable[..., Any], bool]]
) -> dict[str, object]:
    return {
        form: returned(package, function)
        if form == "property"
        else call_shape(package, function, bound=bound)
        for form, (function, bound) in forms.items()
    }


def call_shape(package: Package, function: Callable[..., Any], *, bound: bool) -> Shape:
    parameters = [*inspect.signature(function).parameters.values()][1 if bound else 0 :]
    return {
        "async": inspect.iscoroutinefunction(inspect.unwrap(function)),
        "parameters": [
            (parameter.name, parameter.kind.name, _default(parameter.default))
            for parameter in parameters
        ],
        "returns": returned(package, function),
    }


def returned(package: Package, function: Any) -> str | None:
    function = inspect.unwrap(function)
    annotation = getattr(function, "__annotations__", {}).get("return", inspect.Parameter.empty)
    if annotation is inspect.Parameter.empty:
        return None
    return package.spell(annotation, function.__module__)


def _default(value: object) -> str:
    if value is inspect.Parameter.empty:
        return "required"
    return value.__name__ if inspect.isclass(value) or inspect.isfunction(value) else repr(value)


def differences(theirs: Shape, ours: Shape) -> list[str]:
    """What of E2B's item is not so in localbox's, in words; nothing if they are compatible."""
    found = []
    for key, expected in theirs.items():
        actual = ours.get(key)
        if expected == actual:
            continue
        if key in {"returns", "property"} and expected is None and key in ours:
            continue  # E2B does not annotate it
        if key == "returns" and expected in {"dict", "list"} and str(actual).startswith(expected):
            continue  # nor all of it
        if isinstance(expected, dict) and isinstance(actual, dict):
            found += [f"{key}: {difference}" for difference in differences(expected, actual)]
        elif key == "parameters" and isinstance(expected, list) and isinstance(actual, list):
            if without_own_keywords(actual, expected) != expected:
                found.append(f"takes {actual}, not {expected}")
        else:
            found.append(f"{key} is {actual!r}, not {expected!r}")
    return found


def without_own_keywords(ours: list[Any], theirs: list[Any]) -> list[Any]:
    known = {name for name, _, _ in theirs}
    return [
        (name, kind, default)
        for name, kind, default in ours
        if name in known or kind != "KEYWORD_ONLY" or default == "required"
    ]


def own_keywords(theirs: dict[str, Shape], ours: dict[str, Shape]) -> dict[str, set[str]]:
    """The parameters localbox has and E2B has not, by item."""
    found: dict[str, set[str]] = {}
    for name, shape in theirs.items():
        for form, call in shape.items():
            mine = ours.get(name, {}).get(form)
            if isinstance(call, dict) and isinstance(mine, dict) and "parameters" in call:
                known = {parameter for parameter, _, _ in call["parameters"]}
                more = {p for p, _, _ in mine.get("parameters", []) if p not in known}
                if more:
                    found.setdefault(name, set()).update(more)
    return found


def gaps(theirs: dict[str, Shape], ours: dict[str, Shape]) -> dict[str, str]:
    """Every item of E2B's that localbox lacks or has in another form, and what is wrong."""
    found = {}
    for name, shape in theirs.items():
        if name not in ours:
            found[name] = "missing"
        elif wrong := differences(shape, ours[name]):
            found[name] = "; ".join(wrong)
    return found


@functools.cache
def both(name: str = "e2b") -> Sides:
    """The items of E2B's package, and localbox's of the same names."""
    theirs = Package.load(name)
    return items(theirs), items(Package.load("localbox"), _public(theirs.root))


def main() -> None:
    theirs, ours = both()
    missing = gaps(theirs, ours)
    for item, wrong in missing.items():
        print(f"{item}: {wrong}")
    print(f"{len(theirs) - len(missing)} of {len(theirs)} items of E2B's are here")


if __name__ == "__main__":
    main()
