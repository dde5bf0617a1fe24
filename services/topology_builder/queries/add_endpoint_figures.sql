-- Add the staged figures of one window to every resolution in $2.
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
    bucket_start($1, width),
    staged.endpoint_id,
    width,
    staged.requests,
    staged.errors,
    staged.client_errors,
    staged.no_responses,
    staged.duration_sum_ns,
    staged.request_bytes,
    staged.response_bytes,
    staged.duration
from staged_endpoint_figures as staged
cross join unnest($2::smallint[]) as width
on conflict (resolution, start, endpoint_id) do update set
    requests = figures.requests + excluded.requests,
    errors = figures.errors + excluded.errors,
    client_errors = figures.client_errors + excluded.client_errors,
    no_responses = figures.no_responses + excluded.no_responses,
    duration_sum_ns = figures.duration_sum_ns + excluded.duration_sum_ns,
    request_bytes = figures.request_bytes + excluded.request_bytes,
    response_bytes = figures.response_bytes + excluded.response_bytes,
    duration = figures.duration + excluded.duration
