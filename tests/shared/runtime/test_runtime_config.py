"""
Settings: read once, unknown names refused with a sentence.
"""

from __future__ import annotations

import pytest

from shared.errors import ConfigError
from shared.runtime import config


class Config(config.Common, frozen=True, kw_only=True):
    """
    A service's settings.
    """

    max_buffer_bytes: int = 4096
    """Most that one connection may hold, in bytes."""


def test_a_number_is_read_from_text() -> None:
    """
    The environment holds text; the struct holds types.
    """
    found = config.load(
        Config, "protocol-parser", {"PROTOCOL_PARSER_MAX_BUFFER_BYTES": "17", "MESHLENS_NODE": "n1", "HOME": "/"}
    )

    assert found == Config(max_buffer_bytes=17, node="n1")


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("PROTOCOL_PARSER_MAX_BUFER_BYTES", "did you mean PROTOCOL_PARSER_MAX_BUFFER_BYTES"),
        ("MESHLENS_NATS_ULR", "did you mean MESHLENS_NATS_URL"),
        ("PROTOCOL_PARSER_NATS_URL", "is not a setting"),
    ],
)
def test_a_misspelt_setting_is_refused_with_a_hint(variable: str, hint: str) -> None:
    """
    The sentence names the variable and the nearest one that exists.
    """
    with pytest.raises(ConfigError, match=hint) as caught:
        config.load(Config, "protocol-parser", {variable: "1"})

    assert variable in str(caught.value)


def test_a_bad_value_names_the_field() -> None:
    """
    The sentence says which setting is wrong.
    """
    with pytest.raises(ConfigError, match="max_buffer_bytes"):
        config.load(Config, "protocol-parser", {"PROTOCOL_PARSER_MAX_BUFFER_BYTES": "many"})


def test_every_setting_describes_itself() -> None:
    """
    The reference takes name, default and sentence from the code.
    """
    described = {setting.variable: setting for setting in config.describe(Config, "protocol-parser")}

    assert described["PROTOCOL_PARSER_MAX_BUFFER_BYTES"].says == "Most that one connection may hold, in bytes."
    assert described["MESHLENS_HTTP_HOST"].default == "'127.0.0.1'"
