"""
Prometheus' text format.
"""

from __future__ import annotations

from shared.runtime import exposition


def test_a_family_has_help_type_and_points() -> None:
    """
    One line a point, labels escaped, whole numbers without a fraction.
    """
    expected = (
        "# HELP lost_total What was lost.\n"
        "# TYPE lost_total counter\n"
        'lost_total{cause="a \\"b\\"\\\\\\n"} 3\n'
        "lost_total 0.25\n"
    )

    assert expected == exposition.family(
        "lost_total", "counter", "What was lost.", [({"cause": 'a "b"\\\n'}, 3.0), ({}, 0.25)]
    )
