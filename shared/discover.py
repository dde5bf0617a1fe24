"""
Extensions are found by the folder they lie in: one extension, one file, no list to edit.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, TypeVar

from shared.errors import ConfigError

if TYPE_CHECKING:
    from types import ModuleType

T = TypeVar("T")


def extensions(package: ModuleType, attribute: str, kind: type[T]) -> dict[str, T]:
    """
    Return the *attribute* of each public module of *package*, by module name.

    Raises:
        ConfigError: a module lacks the attribute, or it is not a *kind*.
    """
    found: dict[str, T] = {}
    for module_info in pkgutil.iter_modules(package.__path__):
        if module_info.name.startswith("_"):
            continue
        module = importlib.import_module(f"{package.__name__}.{module_info.name}")
        extension = getattr(module, attribute, None)
        if not isinstance(extension, kind):
            raise ConfigError(
                f"{package.__name__}.{module_info.name} must end in `{attribute}: {kind.__name__} = ...`; "
                f"found {type(extension).__name__}"
            )
        found[module_info.name] = extension
    return found
