-- Add the figures at 1 min between $1 and $2 to every wider resolution in $3.
insert into relation_figures as figures (
    start,
    relation_id,
    resolution,
    client_requests,
    client_errors,
    client_client_errors,
    client_no_responses,
    client_duration_sum_ns,
    client_request_bytes,
    client_response_bytes,
    server_requests,
    server_errors,
    server_client_errors,
    server_no_responses,
    server_duration_sum_ns,
    server_request_bytes,
    server_response_bytes,
    opened,
    closed,
    bytes_sent,
    bytes_received,
    segments_sent,
    retransmits,
    resets_sent,
    resets_received,
    listen_overflows,
    client_duration,
    server_duration,
    connect,
    rtt,
    failed,
    drops
)
select
    bucket_start(fine.start, coarse.resolution),
    fine.relation_id,
    coarse.resolution::smallint,
    sum(fine.client_requests)::bigint,
    sum(fine.client_errors)::bigint,
    sum(fine.client_client_errors)::bigint,
    sum(fine.client_no_responses)::bigint,
    sum(fine.client_duration_sum_ns)::bigint,
    sum(fine.client_request_bytes)::bigint,
    sum(fine.client_response_bytes)::bigint,
    sum(fine.server_requests)::bigint,
    sum(fine.server_errors)::bigint,
    sum(fine.server_client_errors)::bigint,
    sum(fine.server_no_responses)::bigint,
    sum(fine.server_duration_sum_ns)::bigint,
    sum(fine.server_request_bytes)::bigint,
    sum(fine.server_response_bytes)::bigint,
    sum(fine.opened)::bigint,
    sum(fine.closed)::bigint,
    sum(fine.bytes_sent)::bigint,
    sum(fine.bytes_received)::bigint,
    sum(fine.segments_sent)::bigint,
    sum(fine.retransmits)::bigint,
    sum(fine.resets_sent)::bigint,
    sum(fine.resets_received)::bigint,
    sum(fine.listen_overflows)::bigint,
    sum(fine.client_duration),
    sum(fine.server_duration),
    sum(fine.connect),
    sum(fine.rtt),
    nullif(sum_counts(fine.failed), '{}'),
    nullif(sum_counts(fine.drops), '{}')
from relation_figures as fine
cross join resolutions as coarse
where fine.resolution = 60
    and fine.start >= $1
    and fine.start < $2
    and coarse.resolution > 60
    and coarse.resolution = any($3::integer[])
group by 1, 2, 3
on conflict (resolution, start, relation_id) do update set
    client_requests = figures.client_requests + excluded.client_requests,
    client_errors = figures.client_errors + excluded.client_errors,
    client_client_errors = figures.client_client_errors + excluded.client_client_errors,
    client_no_responses = figures.client_no_responses + excluded.client_no_responses,
    client_duration_sum_ns = figures.client_duration_sum_ns + excluded.client_duration_sum_ns,
    client_request_bytes = figures.client_request_bytes + excluded.client_request_bytes,
    client_response_bytes = figures.client_response_bytes + excluded.client_response_bytes,
    server_requests = figures.server_requests + excluded.server_requests,
    server_errors = figures.server_errors + excluded.server_errors,
    server_client_errors = figures.server_client_errors + excluded.server_client_errors,
    server_no_responses = figures.server_no_responses + excluded.server_no_responses,
    server_duration_sum_ns = figures.server_duration_sum_ns + excluded.server_duration_sum_ns,
    server_request_bytes = figures.server_request_bytes + excluded.server_request_bytes,
    server_response_bytes = figures.server_response_bytes + excluded.server_response_bytes,
    opened = figures.opened + excluded.opened,
    closed = figures.closed + excluded.closed,
    bytes_sent = figures.bytes_sent + excluded.bytes_sent,
    bytes_received = figures.bytes_received + excluded.bytes_received,
    segments_sent = figures.segments_sent + excluded.segments_sent,
    retransmits = figures.retransmits + excluded.retransmits,
    resets_sent = figures.resets_sent + excluded.resets_sent,
    resets_received = figures.resets_received + excluded.resets_received,
    listen_overflows = figures.listen_overflows + excluded.listen_overflows,
    client_duration = figures.client_duration + excluded.client_duration,
    server_duration = figures.server_duration + excluded.server_duration,
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
