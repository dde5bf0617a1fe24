-- Add the figures at 1 min between $1 and $2 to every wider resolution in $3.
insert into service_figures as figures (
    start,
    service_id,
    resolution,
    requests,
    errors,
    client_errors,
    no_responses,
    duration_sum_ns,
    request_bytes,
    response_bytes,
    opened,
    closed,
    bytes_sent,
    bytes_received,
    segments_sent,
    retransmits,
    resets_sent,
    resets_received,
    listen_overflows,
    own_side,
    duration,
    connect,
    rtt,
    failed,
    drops
)
select
    bucket_start(fine.start, coarse.resolution),
    fine.service_id,
    coarse.resolution::smallint,
    sum(fine.requests)::bigint,
    sum(fine.errors)::bigint,
    sum(fine.client_errors)::bigint,
    sum(fine.no_responses)::bigint,
    sum(fine.duration_sum_ns)::bigint,
    sum(fine.request_bytes)::bigint,
    sum(fine.response_bytes)::bigint,
    sum(fine.opened)::bigint,
    sum(fine.closed)::bigint,
    sum(fine.bytes_sent)::bigint,
    sum(fine.bytes_received)::bigint,
    sum(fine.segments_sent)::bigint,
    sum(fine.retransmits)::bigint,
    sum(fine.resets_sent)::bigint,
    sum(fine.resets_received)::bigint,
    sum(fine.listen_overflows)::bigint,
    bool_or(fine.own_side),
    sum(fine.duration),
    sum(fine.connect),
    sum(fine.rtt),
    nullif(sum_counts(fine.failed), '{}'),
    nullif(sum_counts(fine.drops), '{}')
from service_figures as fine
cross join resolutions as coarse
where fine.resolution = 60
    and fine.start >= $1
    and fine.start < $2
    and coarse.resolution > 60
    and coarse.resolution = any($3::integer[])
group by 1, 2, 3
on conflict (resolution, start, service_id) do update set
    requests = figures.requests + excluded.requests,
    errors = figures.errors + excluded.errors,
    client_errors = figures.client_errors + excluded.client_errors,
    no_responses = figures.no_responses + excluded.no_responses,
    duration_sum_ns = figures.duration_sum_ns + excluded.duration_sum_ns,
    request_bytes = figures.request_bytes + excluded.request_bytes,
    response_bytes = figures.response_bytes + excluded.response_bytes,
    opened = figures.opened + excluded.opened,
    closed = figures.closed + excluded.closed,
    bytes_sent = figures.bytes_sent + excluded.bytes_sent,
    bytes_received = figures.bytes_received + excluded.bytes_received,
    segments_sent = figures.segments_sent + excluded.segments_sent,
    retransmits = figures.retransmits + excluded.retransmits,
    resets_sent = figures.resets_sent + excluded.resets_sent,
    resets_received = figures.resets_received + excluded.resets_received,
    listen_overflows = figures.listen_overflows + excluded.listen_overflows,
    own_side = figures.own_side or excluded.own_side,
    duration = figures.duration + excluded.duration,
    connect = figures.connect + excluded.connect,
    rtt = figures.rtt + excluded.rtt,
    failed = case
        when excluded.failed is null then figures.failed
        else add_counts(coalesce(figures.failed, '{}'), excluded.failed)
    end,
    drops = case
        when excluded.drops is null then figures.drops
        else add_counts(coalesce(figures.drops, '{}'), excluded.drops)
    end
