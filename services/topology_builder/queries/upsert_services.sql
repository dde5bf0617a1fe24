-- Write services as they are now.
insert into services (service, name, kind, attributes, first_seen, last_seen, vanished_at)
select
    row.service,
    row.service,
    row.kind,
    row.attributes::jsonb,
    row.first_seen,
    row.last_seen,
    row.vanished_at
from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[])
    as row (service, kind, attributes, first_seen, last_seen, vanished_at)
on conflict (service) do update set
    kind = excluded.kind,
    attributes = excluded.attributes,
    first_seen = least(services.first_seen, excluded.first_seen),
    last_seen = greatest(services.last_seen, excluded.last_seen),
    vanished_at = excluded.vanished_at
returning service_id, service
