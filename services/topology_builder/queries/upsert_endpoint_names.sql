-- Write names of endpoints.
insert into endpoint_names (protocol, endpoint, name, operation)
select
    row.protocol,
    row.endpoint,
    row.name,
    row.operation
from unnest($1::text[], $2::text[], $3::text[], $4::text[]) as row (protocol, endpoint, name, operation)
on conflict (protocol, endpoint) do update set
    name = excluded.name,
    operation = excluded.operation
where (endpoint_names.name, endpoint_names.operation) is distinct from (excluded.name, excluded.operation)
