"""
`python -m services.query_api`; with `--openapi` it prints the OpenAPI document instead.
"""

from __future__ import annotations

import sys
from importlib import metadata

import msgspec

from services.query_api.config import QueryApi
from services.query_api.openapi import document
from services.query_api.service import serve
from shared.runtime.process import run


def main(arguments: list[str]) -> int:
    """
    Run the service, or print the document, and return the exit status.
    """
    if arguments == ["--openapi"]:
        text = msgspec.json.format(msgspec.json.encode(document(metadata.version("meshlens"))), indent=2)
        sys.stdout.write(text.decode() + "\n")
        return 0
    return run("query-api", QueryApi, serve, at_once=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
