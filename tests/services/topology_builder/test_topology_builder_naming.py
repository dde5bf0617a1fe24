"""
Programs and what they are called.
"""

from __future__ import annotations

import pytest

from services.topology_builder import naming
from shared.errors import ConfigError
from tests.services.topology_builder.making import instance

NAMED = [
    ("/usr/bin/python3.11", ["checkout.py"], "checkout"),
    ("/usr/bin/python3.11", ["python", "/srv/shop/checkout.py"], "checkout"),
    ("/usr/bin/python3", ["-m", "shop.pay"], "pay"),
    ("/usr/bin/python3", ["/srv/cart/app.py"], "cart"),
    ("/usr/bin/python3", ["/usr/bin/gunicorn", "shop.wsgi:app"], "shop"),
    ("/usr/bin/node", ["cart/server.js"], "cart"),
    ("/usr/bin/node", ["/srv/cart/src/index.mjs"], "cart"),
    ("/usr/bin/deno", ["run", "prices.ts"], "prices"),
    ("/usr/lib/jvm/bin/java", ["-jar", "/opt/orders.jar"], "orders"),
    ("/usr/lib/jvm/bin/java", ["com.acme.Billing"], "Billing"),
    ("/usr/sbin/nginx", ["nginx"], "nginx"),
    ("/usr/bin/redis-server", [], "redis-server"),
    ("/usr/bin/redis-check-rdb", ["redis-server"], "redis-server"),
    ("/usr/lib/postgresql/15/bin/postgres", [], "postgres"),
    ("/srv/stock/server", [], "stock"),
    ("/srv/stock/server (deleted)", [], "stock"),
    ("/usr/bin/app", [], "app"),
    ("/opt/a b:c/wei rd", [], "wei-rd"),
]


@pytest.mark.parametrize(("executable", "arguments", "name"), NAMED)
def test_service_name(executable: str, arguments: list[str], name: str) -> None:
    """
    A service is called after the word that tells people which program it is.
    """
    assert name == naming.service_name(instance(1, "", executable=executable, arguments=arguments))


def test_a_unit_names_an_interpreter_without_a_script() -> None:
    """
    A shell in a systemd unit is called after the unit.
    """
    shell = instance(1, "", executable="/bin/bash", arguments=[], cgroup="/system.slice/backup.service")

    assert naming.service_name(shell) == "backup"


def test_overrides_win_in_order() -> None:
    """
    The first override that matches gives the name.
    """
    rules = naming.overrides("pay=arguments:*pay*.py; shop=cgroup:/shop/*;")

    assert naming.service_name(instance(1, "/x/pay_v2.py", cgroup="/shop/a"), rules) == "pay"
    assert naming.service_name(instance(1, "cart.py", cgroup="/shop/a"), rules) == "shop"
    assert naming.service_name(instance(1, "cart.py"), rules) == "cart"


@pytest.mark.parametrize("text", ["pay", "pay=comm:x", "=cgroup:x", "pay=cgroup:"])
def test_a_bad_override_is_refused(text: str) -> None:
    """
    An override that cannot be read stops the process with a sentence that shows it.
    """
    with pytest.raises(ConfigError, match="TOPOLOGY_BUILDER_NAMES"):
        naming.overrides(text)


@pytest.mark.parametrize(
    ("programs", "served", "listens", "kind"),
    [
        (["nginx"], ["http"], True, "proxy"),
        (["wrk"], [], False, "client"),
        (["postgres"], ["postgresql"], True, "database"),
        (["mystore"], ["redis"], True, "cache"),
        (["resolver"], ["dns"], True, "dns"),
        (["python3"], ["http"], True, "service"),
        (["python3"], [], True, "service"),
        (["python3"], [], False, "client"),
    ],
)
def test_kind(programs: list[str], served: list[str], *, listens: bool, kind: str) -> None:
    """
    The kind follows from the program, else from the protocols served, else from whether it listens.
    """
    assert kind == naming.kind(programs, served, listens=listens)
