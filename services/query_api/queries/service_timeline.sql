-- The figures of service $1 between $2 and $3 in steps of $4, read at resolution $5.
select
    date_bin($4, f.start, timestamptz 'epoch') as step,
    sum(f.requests)::bigint as requests,
    sum(f.errors)::bigint as errors,
    sum(f.client_errors)::bigint as client_errors,
    sum(f.no_responses)::bigint as no_responses,
    sum(f.duration_sum_ns)::bigint as duration_sum_ns,
    sum(f.request_bytes)::bigint as request_bytes,
    sum(f.response_bytes)::bigint as response_bytes,
    sum(f.duration) as duration
from service_figures as f
cross join roll_up
where f.service_id = (select s.service_id from services as s where s.service = $1)
    and f.start >= $2
    and f.start < $3
    and (
        (f.resolution = $5 and f.start < roll_up.until)
        or (f.resolution = 10 and f.start >= roll_up.until)
    )
group by step
order by step
