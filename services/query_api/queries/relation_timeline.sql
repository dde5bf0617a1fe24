-- The figures of relation $1 between $2 and $3 in steps of $4, read at resolution $5, from both ends.
select
    date_bin($4, f.start, timestamptz 'epoch') as step,
    sum(f.client_requests)::bigint as client_requests,
    sum(f.client_errors)::bigint as client_errors,
    sum(f.client_client_errors)::bigint as client_client_errors,
    sum(f.client_no_responses)::bigint as client_no_responses,
    sum(f.client_duration_sum_ns)::bigint as client_duration_sum_ns,
    sum(f.client_request_bytes)::bigint as client_request_bytes,
    sum(f.client_response_bytes)::bigint as client_response_bytes,
    sum(f.client_duration) as client_duration,
    sum(f.server_requests)::bigint as server_requests,
    sum(f.server_errors)::bigint as server_errors,
    sum(f.server_client_errors)::bigint as server_client_errors,
    sum(f.server_no_responses)::bigint as server_no_responses,
    sum(f.server_duration_sum_ns)::bigint as server_duration_sum_ns,
    sum(f.server_request_bytes)::bigint as server_request_bytes,
    sum(f.server_response_bytes)::bigint as server_response_bytes,
    sum(f.server_duration) as server_duration
from relation_figures as f
cross join roll_up
where f.relation_id = (select r.relation_id from relations as r where r.relation = $1)
    and f.start >= $2
    and f.start < $3
    and (
        (f.resolution = $5 and f.start < roll_up.until)
        or (f.resolution = 10 and f.start >= roll_up.until)
    )
group by step
order by step
