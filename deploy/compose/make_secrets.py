"""
Makes the secrets of the compose cluster, once, into var/compose (mode 0600): `python3 deploy/compose/make_secrets.py`.

It runs on the host before `docker compose up`, so it needs nothing but Python's own library. Each service is given a
file with its own database role and no other's; `secrets.json` has the form that `meshlens migrate` reads.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from pathlib import Path

FOLDER = Path(__file__).parent.parent.parent / "var" / "compose"
WITH_ROLE = ("protocol-parser", "topology-builder", "anomaly-detector", "alert-manager", "query-api")
SERVICES = ("probe-manager", *WITH_ROLE)


def write(name: str, content: str, mode: int = 0o600) -> None:
    """
    Write one file that only those whom *mode* allows can read.
    """
    path = FOLDER / name
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
        file.write(content)
    path.chmod(mode)


def fresh() -> dict[str, object]:
    """
    Return new secrets.
    """
    return {
        "postgres_owner": secrets.token_hex(24),
        "postgres_roles": {service: secrets.token_hex(24) for service in WITH_ROLE},
        "nats_password": secrets.token_hex(24),
        "api_tokens": {secrets.token_urlsafe(24): role for role in ("viewer", "operator", "admin")},
    }


def service_environment(service: str, made: dict[str, object]) -> str:
    """
    Return the environment file of one service.
    """
    roles = made["postgres_roles"]
    lines = ["MESHLENS_NATS_URL=nats://nats:4222", "MESHLENS_NATS_USER=meshlens"]
    lines.append(f"MESHLENS_NATS_PASSWORD={made['nats_password']}")
    if isinstance(roles, dict) and service in roles:
        role = f"meshlens_{service.replace('-', '_')}"
        lines.append(f"MESHLENS_POSTGRES_DSN=postgresql://{role}:{roles[service]}@postgres:5432/meshlens")
    return "\n".join(lines) + "\n"


def main() -> int:
    """
    Make what is not there yet, and say where the page's token is.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    kept = FOLDER / "secrets.json"
    if not kept.exists():
        write("secrets.json", json.dumps(fresh(), indent=2))
    made = json.loads(kept.read_text())
    owner = made["postgres_owner"]
    write("postgres.env", f"POSTGRES_USER=meshlens\nPOSTGRES_DB=meshlens\nPOSTGRES_PASSWORD={owner}\n")
    write("migrate.env", f"OWNER_DSN=postgresql://meshlens:{owner}@postgres:5432/meshlens\n")
    write("nats.env", f"NATS_PASSWORD={made['nats_password']}\n")
    # Read inside the container by its unprivileged user, therefore not 0600; the folder is the owner's alone.
    write("tokens.json", json.dumps(made["api_tokens"]), 0o644)
    for service in SERVICES:
        write(f"{service}.env", service_environment(service, made))
    FOLDER.chmod(0o700)
    print(f"secrets are in {FOLDER}; sign in to the page with a token of {FOLDER / 'tokens.json'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
