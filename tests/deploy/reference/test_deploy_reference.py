"""
The generated reference is current, complete and well formed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml  # type: ignore[import-untyped]  # it has no types of its own
from hypothesis import given
from hypothesis import strategies as st

from deploy.reference import text
from deploy.reference.__main__ import FOLDER, main
from deploy.reference.extensions import probe_facts
from deploy.reference.pages import pages
from deploy.reference.settings import kinds
from deploy.reference.subjects import document
from shared import subjects

if TYPE_CHECKING:
    from pathlib import Path

PAGES = pages()
TEXT = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_categories=("Cc", "Cs")) | st.just("\n"), max_size=20
)


@pytest.mark.parametrize("name", sorted(PAGES))
def test_the_page_is_current(name: str) -> None:
    """
    The page in the tree is what the code says now; `python -m deploy.reference` makes it so.
    """
    assert PAGES[name] == (FOLDER / name).read_text(encoding="utf-8")


def test_every_setting_has_its_sentence() -> None:
    """
    The page of settings has each field of each service, with a sentence.
    """
    for service, kind in kinds().items():
        prefix = service.upper().replace("-", "_")
        for field in set(kind.__struct_fields__):
            line = next(
                line
                for line in PAGES["settings.md"].splitlines()
                if f"`{prefix}_{field.upper()}`" in line or f"`MESHLENS_{field.upper()}`" in line
            )
            assert line.rstrip(" |").endswith(".")


def test_every_subject_is_a_channel() -> None:
    """
    Each subject and each request is in the document, its message described.
    """
    channels = {channel["address"]: channel for channel in document()["channels"].values()}

    assert {subject.name for subject in subjects.SUBJECTS} <= set(channels)
    assert {request.name for request in subjects.REQUESTS} <= set(channels)
    assert all(channel["messages"] for channel in channels.values())


def test_the_yaml_is_the_document() -> None:
    """
    A YAML reader finds in the page exactly the document that it was made from.
    """
    assert document() == yaml.safe_load(PAGES["asyncapi.yaml"])


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | TEXT,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
        max_leaves=12,
    )
)
def test_any_value_goes_through_yaml(value: Any) -> None:
    """
    What is written as YAML is read back the same.
    """
    assert _as_json(value) == yaml.safe_load(text.yaml(value))


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _as_json(inner) for key, inner in value.items()}
    return [_as_json(inner) for inner in value] if isinstance(value, list) else value


def test_a_cell_cannot_break_its_table() -> None:
    """
    Bars and line ends inside a cell stay inside it.
    """
    assert text.table(("a",), [("x|y\nz",)]) == "| a |\n| --- |\n| x\\|y z |"


def test_the_block_of_a_probe_is_read() -> None:
    """
    The question and each fact are read, over several lines.
    """
    source = "/*\n * Who\n * asks?\n *\n * hooks:  a,\n *         b\n * misses: c\n */\nint x; /* cost: no */"

    assert probe_facts(source) == ("Who asks?", {"hooks": "a, b", "misses": "c"})
    assert probe_facts("int x;") == ("", {})


def test_checking_tells_what_is_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    A check fails on a page that differs and names it; writing mends it.
    """
    monkeypatch.setattr("deploy.reference.__main__.FOLDER", tmp_path)
    assert main(["--check"]) == 1
    assert "settings.md is not current" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
    assert main([]) == 0
    assert main(["--check"]) == 0
