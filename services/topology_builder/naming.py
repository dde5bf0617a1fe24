"""
What a program is called on the map, and what kind of service it is.

The name is the word that tells people which program it is, found in this order:

1. the first override in the settings whose pattern matches;
2. for an interpreter (python, node, java, ...): its script, module or jar without the ending; for an application
   server (gunicorn, uvicorn, ...): the module that it serves;
3. for an interpreter or a shell without a script: the systemd unit that it runs in;
4. the name of the executable.

A word that says nothing (`server.js`, `main`, `app.py`) gives way to the folder that it lies in: `cart/server.js` is
`cart`. So all processes that run one script are instances of one service, wherever they listen.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

import msgspec

from shared.errors import ConfigError
from shared.protocols import family_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from shared.messages.kernel import Instance

INTERPRETERS: Final = re.compile(
    r"(python|pypy|node|nodejs|ruby|php|php-fpm|perl|java|bash|sh|dash|zsh|deno|bun|dotnet|lua|luajit|Rscript)[\d.]*$"
)
APPLICATION_SERVERS: Final = frozenset(
    {"granian", "gunicorn", "uvicorn", "hypercorn", "daphne", "celery", "flask", "puma", "unicorn", "rackup"}
)
SAYS_NOTHING: Final = frozenset(
    {
        "__init__", "__main__", "app", "application", "asgi", "bin", "build", "cli", "cmd", "code", "current", "dist",
        "entrypoint", "index", "lib", "main", "manage", "out", "program", "release", "run", "server", "service", "src",
        "start", "target", "worker", "wsgi", "home", "local", "opt", "root", "sbin", "srv", "tmp", "usr", "var",
    }
)  # fmt: skip
SUBCOMMANDS: Final = frozenset({"run", "exec"})
"""What stands before the script: `deno run shop.ts`."""
ENDINGS: Final = re.compile(r"\.(py|pyc|pyz|m?[jt]s|cjs|rb|php|pl|jar|war|sh|dll|exe|lua)$")
UNIT: Final = re.compile(r"([^/]+)\.service(?:/|$)")
UNFIT: Final = re.compile(r"[^\w.@+-]+")
MAX_NAME: Final = 80

PROXIES: Final = frozenset({"nginx", "haproxy", "envoy", "traefik", "caddy", "varnishd", "squid", "pgbouncer"})
CLIENTS: Final = frozenset(
    {
        "ab", "curl", "dig", "hey", "k6", "pgbench", "psql", "redis-benchmark", "redis-cli", "vegeta", "wget", "wrk",
        "wrk2",
    }
)  # fmt: skip
PROGRAM_KINDS: Final[dict[str, str]] = {
    **dict.fromkeys(PROXIES, "proxy"),
    **dict.fromkeys(CLIENTS, "client"),
    **dict.fromkeys(("postgres", "mysqld", "mariadbd", "mongod", "clickhouse-server", "etcd"), "database"),
    **dict.fromkeys(("redis-server", "valkey-server", "memcached", "keydb-server"), "cache"),
    **dict.fromkeys(("nats-server", "kafka", "beam.smp", "mosquitto", "pulsar"), "queue"),
    **dict.fromkeys(("named", "dnsmasq", "coredns", "unbound", "kresd"), "dns"),
}
FAMILY_KINDS: Final[dict[str, str]] = {
    "database": "database", "cache": "cache", "messaging": "queue", "dns": "dns", "directory": "database",
}  # fmt: skip

SAME_FILE: Final = {"redis-check-rdb": "redis-server", "redis-check-aof": "redis-server"}
"""Programs that are one file under several names (Debian), where the kernel knows the file only."""

FIELDS: Final = ("executable", "arguments", "cgroup", "container")


class Override(msgspec.Struct, frozen=True):
    """
    One pattern from the settings, and the name that it gives.
    """

    service: str
    field: str
    pattern: str

    def matches(self, instance: Instance) -> bool:
        """
        Return whether *instance* is meant.
        """
        value = " ".join(instance.arguments) if self.field == "arguments" else getattr(instance, self.field)
        return fnmatchcase(value, self.pattern)


def overrides(text: str) -> list[Override]:
    """
    Return the overrides in *text*: `pay=arguments:*pay.py;shop=cgroup:/shop/*`.

    Raises:
        ConfigError: one of them cannot be read.
    """
    found: list[Override] = []
    for part in filter(None, (piece.strip() for piece in text.split(";"))):
        service, _, rule = part.partition("=")
        field, _, pattern = rule.partition(":")
        if not service.strip() or field not in FIELDS or not pattern:
            raise ConfigError(
                f"TOPOLOGY_BUILDER_NAMES: {part!r} is not `name=field:pattern`, field being one of {', '.join(FIELDS)}"
            )
        found.append(Override(fit(service.strip()), field, pattern))
    return found


def program(instance: Instance) -> str:
    """
    Return the bare name of the executable.
    """
    name = instance.executable.removesuffix(" (deleted)").rpartition("/")[2] or instance.comm
    return SAME_FILE.get(name, name)


def service_name(instance: Instance, rules: Collection[Override] = ()) -> str:
    """
    Return the service that *instance* belongs to.
    """
    for rule in rules:
        if rule.matches(instance):
            return rule.service
    name = program(instance)
    if not INTERPRETERS.fullmatch(name) and name not in APPLICATION_SERVERS:
        path = instance.executable.removesuffix(" (deleted)").rpartition("/")[0]
        return fit(telling(f"{path}/{name}")) or fit(instance.comm) or "unnamed"
    words = script_words(instance)
    if words and words[0].rpartition("/")[2] in APPLICATION_SERVERS and len(words) > 1:
        words = words[1:]
    if words:
        return fit(telling(as_path(words[0]))) or fit(name)
    unit = UNIT.search(instance.cgroup)
    return fit(unit[1]) if unit else fit(name) or "unnamed"


def script_words(instance: Instance) -> list[str]:
    """
    Return the words after the interpreter's own name that are not options.
    """
    words = list(instance.arguments)
    own = {instance.executable, program(instance), *SUBCOMMANDS}
    while words and (words[0] in own or words[0][0:1] == "-" or INTERPRETERS.fullmatch(words[0].rpartition("/")[2])):
        words = words[1:]
    return [word for word in words if not word.startswith("-")]


def as_path(word: str) -> str:
    """
    Return *word* with folders, also where it names a module: `shop.wsgi:app` is `shop/wsgi`.
    """
    word = word.partition(":")[0] if "/" not in word else word
    if "/" in word or ENDINGS.search(word):
        return word
    return word.replace(".", "/")


def telling(path: str) -> str:
    """
    Return the last part of *path* that says something, without its ending.
    """
    parts = [ENDINGS.sub("", part) for part in path.split("/") if part not in ("", ".", "..")]
    for part in reversed(parts):
        if part.lower() not in SAYS_NOTHING:
            return part
    return parts[-1] if parts else ""


def fit(name: str) -> str:
    """
    Return *name* with only what may stand in an id, and no longer than an id may be.
    """
    return UNFIT.sub("-", name).strip("-")[:MAX_NAME]


def kind(programs: Collection[str], served: Collection[str], *, listens: bool) -> str:
    """
    Return the kind of a service from its programs, the protocols that it serves, and whether it listens at all.
    """
    for name in programs:
        if name in PROGRAM_KINDS:
            return PROGRAM_KINDS[name]
    for protocol in sorted(served):
        kind = FAMILY_KINDS.get(family_of(protocol))
        if kind is not None:
            return kind
    return "service" if listens or served else "client"
