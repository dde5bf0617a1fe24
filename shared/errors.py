"""
The errors that meshlens raises on purpose, split by who must act.

Anything else that is raised is our own bug: it ends the process loudly, and the supervisor starts it again.
"""

from __future__ import annotations


class ConfigError(Exception):
    """
    The operator must act: the message says what is wrong, where, the limit, and the remedy.
    """


class Unavailable(Exception):
    """
    Something outside (NATS, PostgreSQL, a kernel feature) is not there now; trying again may help.
    """


class Malformed(ValueError):
    """
    A peer sent bytes that are not what they claim to be; one message is dropped and counted.
    """
