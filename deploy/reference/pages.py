"""
Every generated page by its file name.
"""

from __future__ import annotations

import msgspec

from deploy.reference.extensions import alerts_page, probes_page, protocols_page
from deploy.reference.metrics import metrics_page
from deploy.reference.settings import settings_page
from deploy.reference.subjects import asyncapi
from services.query_api.openapi import document


def pages() -> dict[str, str]:
    """
    Return the text of each page of `docs/reference` that is made from the code.
    """
    return {
        "settings.md": settings_page(),
        "asyncapi.yaml": asyncapi(),
        "protocols.md": protocols_page(),
        "probes.md": probes_page(),
        "alerts.md": alerts_page(),
        "metrics.md": metrics_page(),
        "openapi.json": openapi(),
    }


def openapi() -> str:
    """
    Return the OpenAPI document; its version is the API's own, so that a release does not change the page.
    """
    return msgspec.json.format(msgspec.json.encode(document("1")), indent=2).decode() + "\n"
