"""
The AsyncAPI document of the NATS subjects: https://www.asyncapi.com/docs/reference/specification/v3.0.0.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from deploy.reference.text import yaml
from shared import subjects
from shared.subjects import Request, Subject

TEMPLATE: Final = "#/components/schemas/{name}"
HEAD: Final = "# Made from shared/subjects.py by `python -m deploy.reference`: change the code, not this file.\n"
ABOUT: Final = (
    "Facts about the observed services, on NATS. Messages are MessagePack: a struct is a map with the names below, or "
    "an array in the order of `prefixItems`; where a schema says base64, the bytes themselves travel. Fields may be "
    "added with defaults, so a reader leaves out what it does not know. A subject with `x-kept-for` lies in a "
    "JetStream stream until each of those services has acknowledged it; anybody may listen to any subject with "
    "plain NATS."
)


def asyncapi() -> str:
    """
    Return the document in YAML.
    """
    return HEAD + yaml(document())


def document() -> dict[str, Any]:
    """
    Return the document.
    """
    every = [*subjects.SUBJECTS, *(side for request in subjects.REQUESTS for side in (request.ask, request.answer))]
    _, schemas = msgspec.json.schema_components([subject.message for subject in every], ref_template=TEMPLATE)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "meshlens", "version": "1", "description": ABOUT, "license": {"name": "Apache-2.0"}},
        "servers": {"local": {"host": "127.0.0.1:4222", "protocol": "nats"}},
        "defaultContentType": "application/msgpack",
        "channels": {_key(subject.name): _channel(subject) for subject in every},
        "operations": {
            **{f"listen-{_key(subject.name)}": _listening(subject) for subject in subjects.SUBJECTS},
            **{f"ask-{_key(request.name)}": _asking(request) for request in subjects.REQUESTS},
        },
        "components": {"schemas": schemas},
    }


def _key(name: str) -> str:
    return name.replace(".", "-")


def _channel(subject: Subject[Any]) -> dict[str, Any]:
    (payload,), _ = msgspec.json.schema_components([subject.message], ref_template=TEMPLATE)
    channel: dict[str, Any] = {
        "address": subject.name,
        "description": subject.says,
        "messages": {subject.message.__name__: {"payload": payload}},
    }
    if subject.kept_for:
        channel |= {
            "x-stream": subject.stream,
            "x-kept-for": list(subject.kept_for),
            "x-limit-bytes": subject.limit_bytes,
            "x-when-full": "refuse the newest" if subject.refuse_when_full else "drop the oldest",
        }
    return channel


def _listening(subject: Subject[Any]) -> dict[str, Any]:
    return {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{_key(subject.name)}"},
        "summary": subject.says,
    }


def _asking(request: Request[Any, Any]) -> dict[str, Any]:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{_key(request.ask.name)}"},
        "summary": request.says,
        "reply": {"channel": {"$ref": f"#/channels/{_key(request.answer.name)}"}},
    }
