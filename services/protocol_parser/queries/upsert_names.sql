insert into named_endpoints (protocol, endpoint, name, operation)
select *
from unnest($1::smallint[], $2::bigint[], $3::text[], $4::text[])
on conflict (protocol, endpoint) do update
set name = excluded.name, operation = excluded.operation, named_at = now()
