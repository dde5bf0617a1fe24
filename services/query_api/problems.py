"""
Errors as problem details: https://www.rfc-editor.org/rfc/rfc9457.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from services.query_api.answers import Problem

MEDIA: Final = "application/problem+json"


class Refused(Exception):
    """
    The question is understood, and the answer is no: a status and a sentence.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status: Final = status
        self.detail: Final = detail


def no_such(what: str, name: str) -> Refused:
    """
    Return the refusal for something that is not there.
    """
    return Refused(404, f"there is no {what} {name!r}")


def problem(status: int, detail: str, instance: str) -> Problem:
    """
    Return the problem of *status* that occurred at the path *instance*.
    """
    title = HTTPStatus(status).phrase
    return Problem(
        type=f"urn:meshlens:problem:{title.lower().replace(' ', '-')}",
        title=title,
        status=status,
        detail=detail,
        instance=instance,
    )
