"""
Writes the page's types from the answers of the API, for `services/query_api/ui/src/api/types.gen.ts`.
"""

from __future__ import annotations

import sys
from typing import Final

import msgspec
from msgspec import inspect as ms

from services.query_api import answers

HEAD: Final = "// Written from services/query_api/answers.py by tests/ui/typescript.py; do not edit.\n"


def structs() -> list[type[msgspec.Struct]]:
    """
    Return the answers in the order of their file.
    """
    return [
        thing
        for thing in vars(answers).values()
        if isinstance(thing, type) and issubclass(thing, msgspec.Struct) and thing.__module__ == answers.__name__
    ]


def typescript(kind: ms.Type) -> str:
    """
    Return how TypeScript writes *kind*.
    """
    match kind:
        case ms.StrType() | ms.DateTimeType():
            return "string"
        case ms.IntType() | ms.FloatType():
            return "number"
        case ms.BoolType():
            return "boolean"
        case ms.NoneType():
            return "null"
        case ms.LiteralType(values=values):
            return " | ".join(f'"{value}"' for value in values)
        case ms.ListType(item_type=item):
            inner = typescript(item)
            return f"({inner})[]" if " " in inner else f"{inner}[]"
        case ms.DictType(value_type=value):
            return f"Record<string, {typescript(value)}>"
        case ms.UnionType(types=types):
            return " | ".join(sorted({typescript(one) for one in types}, key=lambda text: (text == "null", text)))
        case ms.StructType(cls=cls):
            return cls.__name__
        case ms.AnyType():
            return "T"
        case _:
            raise TypeError(f"no TypeScript for {kind}; teach tests/ui/typescript.py")


def interface(struct: type[msgspec.Struct]) -> str:
    """
    Return *struct* as an interface.
    """
    info = ms.type_info(struct)
    assert isinstance(info, ms.StructType)
    generic = "<T>" if getattr(struct, "__parameters__", ()) else ""
    fields = "".join(f"  {field.encode_name}: {typescript(field.type)};\n" for field in info.fields)
    return f"export interface {struct.__name__}{generic} {{\n{fields}}}\n"


def document() -> str:
    """
    Return the whole file.
    """
    level = f"export type LevelName = {typescript(ms.type_info(answers.LevelName))};\n"
    return "\n".join([HEAD, level, *(interface(struct) for struct in structs())])


if __name__ == "__main__":
    sys.stdout.write(document())
