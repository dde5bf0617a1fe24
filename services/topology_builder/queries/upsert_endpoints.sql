-- Write the endpoints that are not there yet, and return the keys of all that are asked for.
with asked as (
    select
        row.service_id,
        row.protocol,
        row.endpoint
    from unnest($1::integer[], $2::text[], $3::text[]) as row (service_id, protocol, endpoint)
), added as (
    insert into endpoints (service_id, protocol, endpoint, first_seen)
    select
        asked.service_id,
        asked.protocol,
        asked.endpoint,
        $4::timestamptz
    from asked
    on conflict (service_id, protocol, endpoint) do nothing
    returning endpoint_id, service_id, protocol, endpoint
)
select endpoint_id, service_id, protocol, endpoint from added
union all
select
    endpoints.endpoint_id,
    endpoints.service_id,
    endpoints.protocol,
    endpoints.endpoint
from endpoints
join asked using (service_id, protocol, endpoint)
