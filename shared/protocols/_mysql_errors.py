"""
Whose fault a MySQL or MariaDB error is, and what the well-known ones are called.
"""

from __future__ import annotations

from typing import Final

from shared.messages.kernel import Outcome

NAMES: Final = {
    1021: "disk_full", 1037: "out_of_memory", 1040: "too_many_connections", 1044: "database_access_denied",
    1045: "access_denied", 1049: "unknown_database", 1050: "table_exists", 1053: "server_shutdown",
    1054: "unknown_column", 1062: "duplicate_entry", 1064: "syntax_error", 1105: "unknown_error", 1114: "table_full",
    1129: "host_blocked", 1142: "table_access_denied", 1146: "unknown_table", 1158: "network_read_error",
    1159: "network_read_timeout", 1203: "too_many_user_connections", 1205: "lock_wait_timeout",
    1213: "deadlock", 1226: "user_limit_reached", 1243: "unknown_prepared_statement", 1290: "option_prevents_statement",
    1305: "unknown_routine", 1317: "query_interrupted", 1364: "no_default_for_field", 1366: "incorrect_value",
    1406: "data_too_long", 1451: "row_is_referenced", 1452: "no_referenced_row", 1644: "signal",
    1836: "read_only_mode", 1927: "connection_killed", 1969: "statement_timeout", 3024: "query_timeout",
    3819: "check_constraint_violated", 4025: "check_constraint_violated",
}  # fmt: skip

CALLER_CLASSES: Final = frozenset(("07", "0A", "21", "22", "23", "25", "28", "3D", "42", "44", "45"))
"""SQLSTATE classes of what is wrong with the statement, its data or the one who sends it."""
CALLER_NUMBERS: Final = frozenset((1193, 1210, 1243, 1364, 1366, 1411, 3819))
"""Errors of the general class HY000 that are the caller's all the same."""
SERVER_NUMBERS: Final = frozenset((1203, 1226))
"""Limits of the server, though their class is that of statements that may not be."""

PROGRESS: Final = 0xFFFF
"""Not an error: MariaDB tells how far a long statement has come."""


def blame(number: int, state: str) -> Outcome:
    """
    Return who is at fault; `bpf/l7/mysql.h` decides alike.
    """
    if number in SERVER_NUMBERS:
        return Outcome.SERVER_ERROR
    caller = number in CALLER_NUMBERS or state[:2] in CALLER_CLASSES
    return Outcome.CLIENT_ERROR if caller else Outcome.SERVER_ERROR
