-- Sampled requests between $1 and $2, newest first: of service $3, endpoint $4, role $5, protocol $6, failed if $7, at
-- least $8 ns long, of trace $9; after the key ($10, $11, $12, $13), at most $14.
select
    p.started,
    p.duration_ns,
    p.name,
    p.protocol,
    p.role,
    coalesce(s.service, '') as service,
    coalesce(peer_service.service, '') as peer,
    p.remote,
    p.port,
    p.outcome,
    p.status,
    p.why,
    p.trace_id,
    p.attributes,
    p.connection,
    p.stream_offset,
    p.instance
from spans as p
left join instances as i on i.instance = p.instance
left join services as s on s.service_id = i.service_id
left join instances as peer on peer.instance = p.peer
left join services as peer_service on peer_service.service_id = peer.service_id
where p.started >= $1
    and p.started < $2
    and ($3 = '' or s.service = $3)
    and ($4 = '' or p.endpoint = $4)
    and ($5 = '' or p.role = $5)
    and ($6 = '' or p.protocol = $6)
    and (not $7 or p.outcome in ('server_error', 'no_response'))
    and p.duration_ns >= $8
    and ($9 = '' or p.trace_id = $9)
    and (
        $10::timestamptz is null
        or (p.started, p.connection, p.stream_offset, p.instance) < ($10, $11, $12, $13)
    )
order by p.started desc, p.connection desc, p.stream_offset desc, p.instance desc
limit $14
