-- Add the figures at 1 min between $1 and $2 to every wider resolution in $3.
insert into endpoint_figures as figures (
    start,
    endpoint_id,
    resolution,
    requests,
    errors,
    client_errors,
    no_responses,
    duration_sum_ns,
    request_bytes,
    response_bytes,
    duration
)
select
    bucket_start(fine.start, coarse.resolution),
    fine.endpoint_id,
    coarse.resolution::smallint,
    sum(fine.requests)::bigint,
    sum(fine.errors)::bigint,
    sum(fine.client_errors)::bigint,
    sum(fine.no_responses)::bigint,
    sum(fine.duration_sum_ns)::bigint,
    sum(fine.request_bytes)::bigint,
    sum(fine.response_bytes)::bigint,
    sum(fine.duration)
from endpoint_figures as fine
cross join resolutions as coarse
where fine.resolution = 60
    and fine.start >= $1
    and fine.start < $2
    and coarse.resolution > 60
    and coarse.resolution = any($3::integer[])
group by 1, 2, 3
on conflict (resolution, start, endpoint_id) do update set
    requests = figures.requests + excluded.requests,
    errors = figures.errors + excluded.errors,
    client_errors = figures.client_errors + excluded.client_errors,
    no_responses = figures.no_responses + excluded.no_responses,
    duration_sum_ns = figures.duration_sum_ns + excluded.duration_sum_ns,
    request_bytes = figures.request_bytes + excluded.request_bytes,
    response_bytes = figures.response_bytes + excluded.response_bytes,
    duration = figures.duration + excluded.duration
