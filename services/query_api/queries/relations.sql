-- The relations of the map between $1 and $2, with their figures.
select
    r.relation,
    source.service as source,
    target.service as target,
    r.protocol,
    r.port,
    r.encrypted,
    f.client_requests,
    f.client_errors,
    f.client_client_errors,
    f.client_no_responses,
    f.client_duration_sum_ns,
    f.client_request_bytes,
    f.client_response_bytes,
    f.server_requests,
    f.server_errors,
    f.server_client_errors,
    f.server_no_responses,
    f.server_duration_sum_ns,
    f.server_request_bytes,
    f.server_response_bytes,
    f.opened,
    f.closed,
    f.bytes_sent,
    f.bytes_received,
    f.segments_sent,
    f.retransmits,
    f.resets_sent,
    f.resets_received,
    f.listen_overflows,
    f.client_duration::text as client_duration,
    f.server_duration::text as server_duration,
    f.connect::text as connect,
    f.rtt::text as rtt,
    f.failed,
    f.drops
from relations as r
join services as source on source.service_id = r.source_id
join services as target on target.service_id = r.target_id
left join relations_between($1, $2) as f using (relation_id)
where f.relation_id is not null
    or (r.first_seen < $2 and (r.vanished_at is null or r.vanished_at > $1))
order by r.relation
