-- The services of the map between $1 and $2, with their figures.
select
    s.service,
    s.name,
    s.kind,
    s.attributes,
    coalesce(r.running, 0) as running,
    f.requests,
    f.errors,
    f.client_errors,
    f.no_responses,
    f.duration_sum_ns,
    f.request_bytes,
    f.response_bytes,
    f.opened,
    f.closed,
    f.bytes_sent,
    f.bytes_received,
    f.segments_sent,
    f.retransmits,
    f.resets_sent,
    f.resets_received,
    f.listen_overflows,
    f.own_side,
    f.duration::text as duration,
    f.connect::text as connect,
    f.rtt::text as rtt,
    f.failed,
    f.drops
from services as s
left join services_between($1, $2) as f using (service_id)
left join (
    select i.service_id, count(*) as running
    from instances as i
    where i.started_at < $2
        and (i.ended_at is null or i.ended_at >= $2)
    group by i.service_id
) as r using (service_id)
where f.service_id is not null
    or (s.first_seen < $2 and (s.vanished_at is null or s.vanished_at > $1))
order by s.service
