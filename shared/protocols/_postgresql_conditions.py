"""
What PostgreSQL's conditions are called.

https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from __future__ import annotations

from typing import Final

CONDITIONS: Final = {
    "08": "connection_exception", "0A": "feature_not_supported", "22": "data_exception",
    "22001": "string_data_right_truncation", "22003": "numeric_value_out_of_range", "22012": "division_by_zero",
    "22P02": "invalid_text_representation", "23": "integrity_constraint_violation", "23502": "not_null_violation",
    "23503": "foreign_key_violation", "23505": "unique_violation", "23514": "check_violation",
    "25": "invalid_transaction_state", "25P02": "in_failed_sql_transaction",
    "28": "invalid_authorization_specification", "28P01": "invalid_password", "3D": "invalid_catalog_name",
    "40": "transaction_rollback", "40001": "serialization_failure", "40P01": "deadlock_detected",
    "42": "syntax_error_or_access_rule_violation", "42501": "insufficient_privilege", "42601": "syntax_error",
    "42703": "undefined_column", "42883": "undefined_function", "42P01": "undefined_table",
    "42P07": "duplicate_table", "53": "insufficient_resources", "53300": "too_many_connections",
    "54": "program_limit_exceeded", "55": "object_not_in_prerequisite_state", "55P03": "lock_not_available",
    "57": "operator_intervention", "57014": "query_canceled", "57P01": "admin_shutdown",
    "57P03": "cannot_connect_now", "58": "system_error", "P0": "plpgsql_error", "XX": "internal_error",
}  # fmt: skip
"""What a SQLSTATE, or else its class, is called."""
