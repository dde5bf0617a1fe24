"""
SQL: literals are covered, statements are summed up.
"""

from __future__ import annotations

import pytest

from shared.protocols import _sql

MASKED = [
    ("select 'secret', 42, 1.5e10, 0xFF", "select '******', 00, 000000, 0000"),
    ("select 'it''s secret' from t", "select '*************' from t".replace("*" * 13, "*" * 12)),
    (r"select E'a\'secret', N'x'", r"select E'*********', N'*'"),
    ("select $$secret$$, $q$a$b$q$", "select $$******$$, $q$***$q$"),
    ("select $1, a1 from t2", "select $1, a1 from t2"),
    ("select 1 -- secret\nfrom t", "select 0 --*******\nfrom t"),
    ("select /* a /* b */ secret */ 1", "select /********************/ 0".replace("*" * 20, "*" * 20)),
    ("select 'never ends", "select '**********"),
    (r"select 'a\' secret' from t", "select '*****************".ljust(26, "*")),
    ("set app.token to hunter", "set app.token to ******"),
    ("set x = 'a'; select 1 from b", "set x = '*'; select 0 from b"),
    ('select "Name" from "T"', 'select "Name" from "T"'),
]

SUMMARIES = [
    ("select * from Orders where id = 1", "SELECT orders"),
    ('select * from "Orders" o join lines l on true', "SELECT Orders lines"),
    ("SELECT 1", "SELECT"),
    ("insert into shop.orders (a) values (1)", "INSERT shop.orders"),
    ("update only orders set a = 1 from b", "UPDATE orders b"),
    ("delete from orders using b", "DELETE orders"),
    ("with recent as (select * from orders) select * from recent join users on true", "SELECT orders users"),
    ("with a as (select 1) insert into t select * from a", "INSERT t"),
    ("select extract(year from born), substring(a from 2) from people", "SELECT people"),
    ("select * from (select * from a) x", "SELECT a"),
    ("select * from t for update of t", "SELECT t"),
    ("insert into t values (1) on conflict (a) do update set a = 2", "INSERT t"),
    ("create table if not exists t (a int)", "CREATE TABLE t"),
    ("create or replace function f() returns int", "CREATE FUNCTION f"),
    ("create temp table t (a int)", "CREATE TABLE t"),
    ("drop index concurrently if exists i", "DROP INDEX i"),
    ("alter role r password 'x'", "ALTER ROLE r"),
    ("copy t from stdin", "COPY t"),
    ("truncate table t", "TRUNCATE t"),
    ("begin; select * from t", "BEGIN"),
    ("/* hint */ select * from t", "SELECT t"),
    ("select * from a, lateral b, a, c join d on true join e on true", "SELECT a d e"),
    ("", ""),
    (";", ""),
]


@pytest.mark.parametrize(("sql", "expected"), MASKED)
def test_literals_are_covered(sql: str, expected: str) -> None:
    """
    Values go, everything else stays, and nothing moves.
    """
    out = bytearray(b"<" + sql.encode() + b">")
    _sql.mask(out, 1, len(out) - 1)

    assert f"<{expected}>".encode() == bytes(out)


@pytest.mark.parametrize(("sql", "expected"), SUMMARIES)
def test_statements_are_summed_up(sql: str, expected: str) -> None:
    """
    The summary is the verb and its tables, the same for the masked statement.
    """
    out = bytearray(sql.encode())
    _sql.mask(out, 0, len(out))

    assert expected == _sql.describe(sql.encode()).summary
    assert expected == _sql.describe(bytes(out)).summary


def test_the_text_has_a_mark_for_each_value() -> None:
    """
    Statements that differ in values, list lengths, comments and white space have one text.
    """
    texts = {
        _sql.describe(sql).text
        for sql in (
            b"select a from t where b in (1, 2,3) and c = 'x'",
            b"select a  from t\n where b in (7) and c = 'yy' -- late",
            b"select a from t where b in (7,8) and c = $$z$$",
        )
    }

    assert texts == {"select a from t where b in (?) and c = ?"}


def test_a_trace_context_is_found_in_a_comment() -> None:
    """
    sqlcommenter's `traceparent` survives masking; what else the comment says does not.
    """
    context = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    out = bytearray(f"select 1 /*app='secret',traceparent='{context}'*/".encode())
    _sql.mask(out, 0, len(out))

    assert context == _sql.describe(bytes(out)).traceparent
    assert b"secret" not in out


def test_tokens_cover_all_bytes() -> None:
    """
    Every byte value belongs to a token.
    """
    sql = bytes(range(1, 256)) * 2

    assert sql == b"".join(sql[token.start : token.end] for token in _sql.tokens(sql))


@pytest.mark.parametrize(
    ("sql", "masked", "summary"),
    [
        ('select `a`.`b`, "it" from `A b`', 'select `a`.`b`, "**" from `A b`', "SELECT a b"),
        ("select 1 -- secret\nfrom t", "select 0 -- ******\nfrom t", "SELECT t"),
        ("select 5--3 from t", "select 0--0 from t", "SELECT t"),
        (r"select 'it\'s', 'secret' from t", "select '" + "*" * 23, "SELECT"),
        (r"select 'back\\slash', 1 from t", "select '***********', 0 from t", "SELECT t"),
        ("/*!50003 create table t (a int) */", "/*!50003 create table t (a int) */", "CREATE TABLE t"),
    ],
)
def test_mysql_reads_otherwise(sql: str, masked: str, summary: str) -> None:
    """
    Backquotes hold names, both quotes hold literals, and comments after an exclamation mark are executed.
    """
    out = bytearray(sql.encode())
    _sql.mask(out, 0, len(out), _sql.MYSQL)

    assert masked.encode() == bytes(out)
    assert summary == _sql.describe(bytes(out), _sql.MYSQL).summary
