"""Methods of a sandbox that, given an id, work on the class too: `Sandbox.kill(sandbox_id)`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast, overload

F = TypeVar("F", bound=Callable[..., Any])
OnClass = TypeVar("OnClass")
OnInstance = TypeVar("OnInstance")


class _DualMethod:
    def __init__(self, method: Callable[..., Any], class_method_name: str) -> None:
        self.method = method
        self.class_method_name = class_method_name

    def __set_name__(self, owner: type, name: str) -> None:
        self.defined_in = owner

    def __get__(self, instance: Any, owner: type) -> Callable[..., Any]:
        @functools.wraps(self.method)
        def call(*args: Any, **kwargs: Any) -> Any:
            if instance is not None:
                return self.method(instance, *args, **kwargs)
            # Not of `owner`, which may be the class of an E2B client and the sandbox another's.
            if args and isinstance(args[0], self.defined_in):
                return self.method(*args, **kwargs)
            return getattr(owner, self.class_method_name)(*args, **kwargs)

        return call


def dual_method(class_method_name: str) -> Callable[[F], F]:
    """Make a method whose class form is the class method named."""

    def decorate(method: F) -> F:
        return cast(F, _DualMethod(method, class_method_name))

    return decorate


class TwoMethods(Generic[OnClass, OnInstance]):
    """Two methods of one name that have nothing in common: `Volume.list()`, `volume.list("/")`.

    Args:
        on_class: a classmethod.
    """

    def __init__(
        self, on_class: Callable[..., OnClass], on_instance: Callable[..., OnInstance]
    ) -> None:
        self._on_class: Any = on_class
        self._on_instance: Any = on_instance

    @overload
    def __get__(self, instance: None, owner: type) -> Callable[..., OnClass]: ...

    @overload
    def __get__(self, instance: object, owner: type) -> Callable[..., OnInstance]: ...

    def __get__(self, instance: Any, owner: type) -> Callable[..., Any]:
        method = self._on_class if instance is None else self._on_instance
        return cast(Callable[..., Any], method.__get__(instance, owner))
