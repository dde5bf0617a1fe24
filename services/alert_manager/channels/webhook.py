"""
Posts alerts as JSON, in the form that Alertmanager's webhook receivers understand (version 4).

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config

With a secret, the body is signed: `X-Meshlens-Signature: sha256=<HMAC of the body>`. Neither the secret nor the path of
the address, which may be one, ever reaches a log.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import aiohttp
import msgspec

from services.alert_manager.channels._base import Channel, Undelivered
from shared.errors import ConfigError
from shared.units import S_NS

if TYPE_CHECKING:
    from services.alert_manager.config import Settings
    from services.alert_manager.convergence import Message
    from services.alert_manager.lifecycle import Held

SIGNATURE: Final = "X-Meshlens-Signature"
NEVER: Final = "0001-01-01T00:00:00Z"
TRY_AGAIN: Final = frozenset({408, 425, 429})


class Webhook:
    """
    One POST for each message; any 2xx is acceptance.
    """

    def is_wanted(self, settings: Settings) -> bool:
        """
        Return whether an address is set.
        """
        if not settings.webhook_url:
            return False
        parts = urlsplit(settings.webhook_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError("ALERT_MANAGER_WEBHOOK_URL must be an http:// or https:// address with a host")
        return True

    async def send(self, message: Message, settings: Settings) -> None:
        """
        Post *message* once.
        """
        body = msgspec.json.encode(payload(message))
        headers = {"Content-Type": "application/json", "User-Agent": "meshlens"}
        if settings.webhook_secret:
            headers[SIGNATURE] = signature(settings.webhook_secret, body)
        host = urlsplit(settings.webhook_url).hostname
        timeout = aiohttp.ClientTimeout(total=settings.webhook_timeout_s)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(settings.webhook_url, data=body, headers=headers, allow_redirects=False) as response,
            ):
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Undelivered(f"{host} does not answer: {type(error).__name__}", again=True) from None
        if not 200 <= status < 300:
            raise Undelivered(f"{host} answers {status}", again=status >= 500 or status in TRY_AGAIN)


def signature(secret: str, body: bytes) -> str:
    """
    Return the signature of *body*.
    """
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def payload(message: Message) -> dict[str, Any]:
    """
    Return what is posted.
    """
    alerts = [_alert(held) for held in message.alerts]
    labels: list[dict[str, str]] = [one["labels"] for one in alerts]
    common = {name: value for name, value in labels[0].items() if all(other.get(name) == value for other in labels[1:])}
    return {
        "version": "4",
        "groupKey": message.group_key,
        "truncatedAlerts": 0,
        "status": message.state,
        "receiver": "meshlens",
        "groupLabels": {"alertname": message.alerts[0].alert.template},
        "commonLabels": common,
        "commonAnnotations": {},
        "externalURL": "",
        "alerts": alerts,
    }


def _alert(held: Held) -> dict[str, Any]:
    alert = held.alert
    return {
        "status": alert.state,
        "labels": {
            "alertname": alert.template,
            "severity": alert.severity,
            "family": alert.family,
            "entity": alert.entity,
            "kind": alert.kind,
        },
        "annotations": {
            "summary": alert.title,
            "description": alert.meaning,
            "next_steps": "\n".join(alert.next_steps),
            "value": f"{alert.value:g}",
        },
        "startsAt": _time(alert.started_ns),
        "endsAt": _time(alert.resolved_ns) if alert.resolved_ns else NEVER,
        "generatorURL": "",
        "fingerprint": alert.id,
    }


def _time(ns: int) -> str:
    return dt.datetime.fromtimestamp(ns / S_NS, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


CHANNEL: Channel = Webhook()
