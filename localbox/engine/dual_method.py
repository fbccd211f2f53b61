"""Methods of a sandbox that, given an id, work on the class too: `Sandbox.kill(sandbox_id)`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


class _DualMethod:
    def __init__(self, method: Callable[..., Any], class_method_name: str) -> None:
        self.method = method
        self.class_method_name = class_method_name

    def __get__(self, instance: Any, owner: type) -> Callable[..., Any]:
        @functools.wraps(self.method)
        def call(*args: Any, **kwargs: Any) -> Any:
            if instance is not None:
                return self.method(instance, *args, **kwargs)
            if args and isinstance(args[0], owner):
                return self.method(*args, **kwargs)
            return getattr(owner, self.class_method_name)(*args, **kwargs)

        return call


def dual_method(class_method_name: str) -> Callable[[F], F]:
    """Make a method whose class form is the class method named."""

    def decorate(method: F) -> F:
        return cast(F, _DualMethod(method, class_method_name))

    return decorate
