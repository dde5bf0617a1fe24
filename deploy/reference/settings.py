"""
The page of every setting of every service.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil

import services
from deploy.reference.text import page, table
from shared.runtime.config import Common, describe

INTRODUCTION = """
Settings come from the environment, once, at start. A name that is not a setting stops the service with a sentence.
`meshlens up` sets what the services need to find each other; set the rest in its environment, it passes them on.
"""


def settings_page() -> str:
    """
    Return the page.
    """
    parts = ["## Every service", _table(Common, "meshlens", common=True)]
    for service, kind in sorted(kinds().items()):
        own = set(kind.__struct_fields__) - set(Common.__struct_fields__)
        parts += [f"## {service}", _table(kind, service, common=False) if own else "No settings of its own."]
    return page("Settings", INTRODUCTION, *parts)


def kinds() -> dict[str, type[Common]]:
    """
    Return the settings of each service that has a `config.py`, by the service's name.
    """
    found: dict[str, type[Common]] = {}
    for module_info in pkgutil.iter_modules(services.__path__):
        name = f"services.{module_info.name}.config"
        if importlib.util.find_spec(name) is None:
            continue
        for thing in vars(importlib.import_module(name)).values():
            if isinstance(thing, type) and issubclass(thing, Common) and thing is not Common:
                found[module_info.name.replace("_", "-")] = thing
    return found


def _table(kind: type[Common], service: str, *, common: bool) -> str:
    shared = set(Common.__struct_fields__)
    lines = []
    for field, setting in zip(kind.__struct_fields__, describe(kind, service), strict=True):
        if common or field not in shared:
            lines.append((f"`{setting.variable}`", f"`{setting.default}`", setting.says))
    return table(("variable", "default", "says"), lines)
