"""
Which words of a command line may leave the node.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.probe_manager.arguments import INTERPRETERS, naming_words


@pytest.mark.parametrize(
    ("executable", "line", "expected"),
    [
        ("/usr/bin/python3.11", "python3 -u -W error /srv/cart.py --token s3cret", ["/srv/cart.py"]),
        ("/usr/bin/python3.11", "python3 -m shop.cart --token s3cret", ["-m", "shop.cart"]),
        ("/usr/bin/python3", "python3 -c print('s3cret')", []),
        ("/usr/bin/python3", "python3 /v/gunicorn -b :80 shop.wsgi:app", ["/v/gunicorn", "shop.wsgi:app"]),
        ("/usr/bin/python3", "python3 -m uvicorn --port 80 shop:app", ["-m", "uvicorn", "shop:app"]),
        ("/usr/bin/node", "node --require ./trace.js --max-old-space-size=512 web.js s3cret", ["web.js"]),
        ("/usr/bin/node", "node -e s3cret()", []),
        ("/opt/java/bin/java", "java -Dkey=s3cret -Xmx1g -cp a.jar:b.jar -jar shop.jar s3cret", ["-jar", "shop.jar"]),
        ("/opt/java/bin/java", "java -cp a.jar com.shop.Main s3cret", ["com.shop.Main"]),
        ("/usr/bin/ruby3.1", "ruby -I lib -r bundler bin/rails s3cret", ["bin/rails"]),
        ("/usr/bin/php8.2", "php -d key=s3cret -f index.php s3cret", ["-f", "index.php"]),
        ("/usr/bin/php", "php -S 0.0.0.0:80 router.php", ["router.php"]),
        ("/usr/bin/perl", "perl -w tool.pl s3cret", ["tool.pl"]),
        ("/bin/bash", "bash -c s3cret", []),
        ("/bin/dash", "sh -eu start.sh s3cret", ["start.sh"]),
        ("/usr/share/dotnet/dotnet", "dotnet Shop.dll --key s3cret", ["Shop.dll"]),
        ("/usr/sbin/nginx", "nginx -g s3cret", []),
        ("/usr/bin/python3", "python3", []),
        ("/usr/bin/python3", "python3 -m", []),
        ("", "", []),
    ],
)  # fmt: skip
def test_only_the_program_is_named(executable: str, line: str, expected: list[str]) -> None:
    """
    Scripts, modules, jars and main classes are kept, in the manner of each interpreter; values never are.
    """
    assert expected == naming_words(executable, line.split(" "))


@given(st.sampled_from(sorted(INTERPRETERS)), st.lists(st.text(max_size=300), max_size=8))
def test_no_line_yields_more_than_a_name(interpreter: str, line: list[str]) -> None:
    """
    Any command line yields at most an option, a program and a module, each of a bounded length.
    """
    words = naming_words(f"/usr/bin/{interpreter}", line)

    assert len(words) <= 3
    assert all(len(word) <= 200 for word in words)
