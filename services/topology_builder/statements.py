"""
The statements that write figures, composed once for each family, from nothing but the names in `columns`.

No setting and no message takes part in it, and nothing here is called once the service runs: what varies then are
parameters, as in every other statement.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from services.topology_builder.columns import COLUMNS, Kind, key


class Rule(NamedTuple):
    """
    How the rows of one bucket become one, for one kind of column; `{0}` stands for its name.
    """

    summed: str
    """Over the rows of an insert."""
    added: str
    """To the row that is there."""


RULES: Final = {
    Kind.COUNT: Rule("sum(fine.{0})::bigint", "figures.{0} + excluded.{0}"),
    Kind.FLAG: Rule("bool_or(fine.{0})", "figures.{0} or excluded.{0}"),
    Kind.HISTOGRAM: Rule("sum(fine.{0})", "figures.{0} + excluded.{0}"),
    Kind.TALLY: Rule(
        "nullif(sum_counts(fine.{0}), '{{}}')",
        """case
        when excluded.{0} is null then figures.{0}
        else add_counts(coalesce(figures.{0}, '{{}}'), excluded.{0})
    end""",
    ),
}


def _listed(items: list[str]) -> str:
    return ",\n    ".join(items)


def _insert(family: str, select: str) -> str:
    """
    Return the statement that adds the rows of *select* to the figures of *family*.
    """
    columns = COLUMNS[family]
    return f"""insert into {family}_figures as figures (
    {_listed([*key(family), *columns])}
)
{select}
on conflict (resolution, start, {family}_id) do update set
    {_listed([f"{name} = {RULES[kind].added.format(name)}" for name, kind in columns.items()])}
"""


def _staged(family: str) -> str:
    """
    Return the staged figures of one window, once for every resolution in $2.
    """
    bucket = ["bucket_start($1, width)", f"staged.{family}_id", "width"]
    return f"""select
    {_listed([*bucket, *(f"staged.{name}" for name in COLUMNS[family])])}
from staged_{family}_figures as staged
cross join unnest($2::smallint[]) as width"""  # noqa: S608 - only of names in `columns`


def _summed(family: str) -> str:
    """
    Return the figures at 1 min between $1 and $2, summed for every wider resolution in $3.
    """
    bucket = ["bucket_start(fine.start, coarse.resolution)", f"fine.{family}_id", "coarse.resolution::smallint"]
    return f"""select
    {_listed([*bucket, *(RULES[kind].summed.format(name) for name, kind in COLUMNS[family].items())])}
from {family}_figures as fine
cross join resolutions as coarse
where fine.resolution = 60
    and fine.start >= $1
    and fine.start < $2
    and coarse.resolution > 60
    and coarse.resolution = any($3::integer[])
group by 1, 2, 3"""  # noqa: S608 - only of names in `columns`


def _stage(family: str) -> str:
    return f"create temporary table if not exists staged_{family}_figures (like {family}_figures) on commit delete rows"


STAGE: Final = ";\n".join(_stage(family) for family in COLUMNS)
"""Makes the tables where the rows of a window arrive by binary copy, before they are added."""
ADD: Final = {family: _insert(family, _staged(family)) for family in COLUMNS}
"""By family: adds what is staged, of the window that starts at $1, to every resolution in $2."""
ROLL_UP: Final = {family: _insert(family, _summed(family)) for family in COLUMNS}
"""By family: adds the figures between $1 and $2 to every wider resolution in $3."""
