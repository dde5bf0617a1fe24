-- Write relations as they are now.
insert into relations (relation, source_id, target_id, protocol, port, first_seen, last_seen, vanished_at, encrypted)
select
    row.relation,
    row.source_id,
    row.target_id,
    row.protocol,
    row.port,
    row.first_seen,
    row.last_seen,
    row.vanished_at,
    row.encrypted
from unnest(
    $1::text[], $2::integer[], $3::integer[], $4::text[], $5::integer[], $6::timestamptz[], $7::timestamptz[],
    $8::timestamptz[], $9::real[]
) as row (relation, source_id, target_id, protocol, port, first_seen, last_seen, vanished_at, encrypted)
on conflict (relation) do update set
    first_seen = least(relations.first_seen, excluded.first_seen),
    last_seen = greatest(relations.last_seen, excluded.last_seen),
    vanished_at = excluded.vanished_at,
    encrypted = excluded.encrypted
returning relation_id, relation
