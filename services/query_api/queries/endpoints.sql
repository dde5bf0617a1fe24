-- The endpoints with traffic between $1 and $2: of service $3, protocol $4, with $5 in the name, failing if $6.
select
    s.service,
    e.protocol,
    e.endpoint,
    coalesce(n.name, e.endpoint) as name,
    f.requests,
    f.errors,
    f.client_errors,
    f.no_responses,
    f.duration_sum_ns,
    f.request_bytes,
    f.response_bytes,
    f.duration
from endpoints_between($1, $2) as f
join endpoints as e using (endpoint_id)
join services as s using (service_id)
left join endpoint_names as n on n.protocol = e.protocol and n.endpoint = e.endpoint
where ($3 = '' or s.service = $3)
    and ($4 = '' or e.protocol = $4)
    and ($5 = '' or position(lower($5) in lower(coalesce(n.name, e.endpoint))) > 0)
    and (not $6 or f.errors > 0)
order by f.requests desc
limit 20000
