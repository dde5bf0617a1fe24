"""
The words of a command line that name the program, and never a value: they may leave the node.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WORD_BYTES: Final = 200


class Interpreter(msgspec.Struct, frozen=True):
    """
    How an interpreter's command line names the program that it runs.
    """

    names_program: frozenset[str] = frozenset()
    """Options whose value is the program: kept together with it (`-m`, `-jar`)."""
    takes_value: frozenset[str] = frozenset()
    """Options whose value is something else: passed over."""
    is_code: frozenset[str] = frozenset()
    """Options that bring the program's text along: nothing after them is looked at."""


_PYTHON: Final = Interpreter(
    names_program=frozenset({"-m"}),
    takes_value=frozenset({"-W", "-X", "--check-hash-based-pycs"}),
    is_code=frozenset({"-c", "-"}),
)
_NODE: Final = Interpreter(
    takes_value=frozenset({"-r", "--require", "--import", "--loader", "--experimental-loader", "-C", "--conditions"}),
    is_code=frozenset({"-e", "--eval", "-p", "--print", "-pe", "-"}),
)
_JAVA: Final = Interpreter(
    names_program=frozenset({"-jar", "-m", "--module"}),
    takes_value=frozenset({"-cp", "-classpath", "--class-path", "-p", "--module-path", "--add-modules"})
    | frozenset({"--add-opens", "--add-exports", "--add-reads", "--upgrade-module-path", "--limit-modules"}),
)
_RUBY: Final = Interpreter(takes_value=frozenset({"-I", "-r", "-C", "-E", "-x"}), is_code=frozenset({"-e", "-"}))
_PHP: Final = Interpreter(
    names_program=frozenset({"-f", "--file"}),
    takes_value=frozenset({"-d", "--define", "-c", "--php-ini", "-z", "-S", "-t"}),
    is_code=frozenset({"-r", "--run", "-B", "-R", "-E", "-"}),
)
_PERL: Final = Interpreter(takes_value=frozenset({"-I"}), is_code=frozenset({"-e", "-E", "-"}))
_SHELL: Final = Interpreter(takes_value=frozenset({"-o", "+o", "-O"}), is_code=frozenset({"-c", "-s", "-"}))
_DOTNET: Final = Interpreter(
    names_program=frozenset({"exec"}), takes_value=frozenset({"--runtimeconfig", "--depsfile"})
)

INTERPRETERS: Final = {
    "python": _PYTHON,
    "pypy": _PYTHON,
    "node": _NODE,
    "nodejs": _NODE,
    "java": _JAVA,
    "ruby": _RUBY,
    "php": _PHP,
    "php-fpm": _PHP,
    "perl": _PERL,
    "bash": _SHELL,
    "sh": _SHELL,
    "dash": _SHELL,
    "dotnet": _DOTNET,
}
_VERSION: Final = re.compile(r"[\d.]+$")
_MODULE_ATTRIBUTE: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*(\(\))?")
_HOSTS: Final = frozenset({"gunicorn", "uvicorn", "hypercorn", "daphne", "granian"})
"""Python servers that run a module named on their command line as `module:attribute`."""


def interpreter_of(executable: str) -> Interpreter | None:
    """
    Return the interpreter at the path *executable*, None when it is not a known one.
    """
    name = executable.rsplit("/", 1)[-1]
    return INTERPRETERS.get(name) or INTERPRETERS.get(_VERSION.sub("", name))


def naming_words(executable: str, arguments: Sequence[str]) -> list[str]:
    """
    Return the words of *arguments* that name the program, without the first word and without any value.
    """
    interpreter = interpreter_of(executable)
    if interpreter is None:
        return []
    words = iter(arguments[1:])
    for word in words:
        if word in interpreter.is_code:
            return []
        if word in interpreter.names_program:
            program = next(words, "")
            return [word, _clip(program), *_hosted(program, words)] if program else []
        if word in interpreter.takes_value:
            next(words, "")
        elif not word.startswith(("-", "+")):
            return [_clip(word), *_hosted(word, words)]
    return []


def _hosted(program: str, rest: Iterator[str]) -> list[str]:
    if program.rsplit("/", 1)[-1] not in _HOSTS:
        return []
    return [_clip(word) for word in rest if _MODULE_ATTRIBUTE.fullmatch(word)][:1]


def _clip(word: str) -> str:
    return word[:WORD_BYTES]
