"""
Every operation of the HTTP API: its path, its question, its answer, and who may ask it.

`web` serves this table, and the OpenAPI document is made from it, so that the two cannot differ.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from services.query_api import answers, questions
from services.query_api.security import Role

PREFIX: Final = "/api/v1"


class Route(msgspec.Struct, frozen=True):
    """
    One operation; the fields of *ask* that are not in the path come from the query, or from the body of a command.
    """

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    name: str
    tag: str
    says: str
    ask: type[msgspec.Struct]
    answer: Any
    role: Role = Role.VIEWER
    status: int = 200
    media: str = "application/json"

    @property
    def has_body(self) -> bool:
        """
        Return whether the question comes in a JSON body.
        """
        return self.method in ("POST", "PUT")

    @property
    def fixed(self) -> tuple[str, ...]:
        """
        Return the names of the parameters in the path.
        """
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))


ROUTES: Final = (
    Route(
        "GET",
        "/topology",
        "topology",
        "map",
        "The map: live, at a time, or over a range.",
        questions.Map,
        answers.Topology,
    ),
    Route(
        "GET",
        "/services",
        "services",
        "services",
        "The services of the map.",
        questions.ServiceList,
        answers.Page[answers.ServiceNode],
    ),
    Route(
        "GET",
        "/services/{service}",
        "service",
        "services",
        "One service: its callers, dependencies, endpoints and instances.",
        questions.OneService,
        answers.ServiceDetail,
    ),
    Route(
        "GET",
        "/services/{service}/endpoints",
        "service_endpoints",
        "services",
        "The endpoints that a service provides.",
        questions.ServiceEndpointList,
        answers.Page[answers.Endpoint],
    ),
    Route(
        "GET",
        "/services/{service}/instances",
        "service_instances",
        "services",
        "The instances of a service, beside each other.",
        questions.ServiceInstanceList,
        answers.Page[answers.Instance],
    ),
    Route(
        "GET",
        "/services/{service}/timeline",
        "service_timeline",
        "services",
        "How the figures of a service went.",
        questions.ServiceTimeLine,
        answers.TimeLine,
    ),
    Route(
        "GET",
        "/relations",
        "relations",
        "relations",
        "The relations of the map.",
        questions.RelationList,
        answers.Page[answers.RelationEdge],
    ),
    Route(
        "GET",
        "/relations/{relation}",
        "relation",
        "relations",
        "One relation.",
        questions.OneRelation,
        answers.RelationEdge,
    ),
    Route(
        "GET",
        "/relations/{relation}/timeline",
        "relation_timeline",
        "relations",
        "How the figures of a relation went.",
        questions.RelationTimeLine,
        answers.TimeLine,
    ),
    Route(
        "GET",
        "/endpoints",
        "endpoints",
        "endpoints",
        "Endpoints over any window: those that fail, those that are slow.",
        questions.EndpointList,
        answers.Page[answers.Endpoint],
    ),
    Route(
        "GET",
        "/spans",
        "spans",
        "endpoints",
        "Sampled requests: those behind an endpoint, those that failed, those that were slow.",
        questions.SpanList,
        answers.Page[answers.SpanRecord],
    ),
    Route(
        "GET",
        "/instances",
        "instances",
        "services",
        "Running programs.",
        questions.InstanceList,
        answers.Page[answers.Instance],
    ),
    Route(
        "GET",
        "/anomalies",
        "anomalies",
        "trouble",
        "Times during which a service or a relation was not green.",
        questions.AnomalyList,
        answers.Page[answers.Anomaly],
    ),
    Route(
        "GET",
        "/alerts",
        "alerts",
        "trouble",
        "Alerts, open and past.",
        questions.AlertList,
        answers.Page[answers.Alert],
    ),
    Route(
        "GET",
        "/alerts/{alert}",
        "alert",
        "trouble",
        "One alert.",
        questions.OneAlert,
        answers.Alert,
    ),
    Route(
        "POST",
        "/alerts/{alert}/acknowledge",
        "acknowledge",
        "trouble",
        "Say that somebody looks after an alert.",
        questions.Acknowledge,
        answers.Done,
        Role.OPERATOR,
    ),
    Route(
        "GET",
        "/silences",
        "silences",
        "trouble",
        "The silences that last.",
        questions.Listing,
        answers.Page[answers.Silence],
    ),
    Route(
        "POST",
        "/silences",
        "silence",
        "trouble",
        "Keep alerts that match quiet for a time.",
        questions.NewSilence,
        answers.Silence,
        Role.OPERATOR,
        201,
    ),
    Route(
        "DELETE",
        "/silences/{silence}",
        "unsilence",
        "trouble",
        "End a silence.",
        questions.OneSilence,
        answers.Done,
        Role.OPERATOR,
    ),
    Route(
        "GET",
        "/probes",
        "probes",
        "meshlens",
        "The probes of every node.",
        questions.Listing,
        answers.Page[answers.Probe],
    ),
    Route(
        "PUT",
        "/probes/{probe}",
        "switch_probe",
        "meshlens",
        "Switch a probe on or off.",
        questions.SwitchProbe,
        answers.Done,
        Role.ADMIN,
    ),
    Route(
        "GET",
        "/status",
        "status",
        "meshlens",
        "How meshlens itself is, and what it lost.",
        questions.Nothing,
        answers.Status,
    ),
    Route(
        "GET",
        "/events",
        "events",
        "map",
        "Live updates as server-sent events, beginning with the newest snapshot of each type.",
        questions.Nothing,
        str,
        media="text/event-stream",
    ),
    Route(
        "GET",
        "/session",
        "session",
        "session",
        "Who asks.",
        questions.Nothing,
        answers.Session,
    ),
    Route(
        "POST",
        "/session",
        "sign_in",
        "session",
        "Exchange a token for a cookie.",
        questions.SignIn,
        answers.Session,
        Role.NOBODY,
        201,
    ),
    Route(
        "DELETE",
        "/session",
        "sign_out",
        "session",
        "Forget the cookie.",
        questions.Nothing,
        answers.Done,
        Role.NOBODY,
    ),
    Route(
        "GET",
        "/openapi.json",
        "openapi",
        "meshlens",
        "This document.",
        questions.Nothing,
        dict[str, Any],
    ),
)
