-- The instances that ran between $1 and $2, of service $3, running now if $4, after the id $5, at most $6.
select
    i.instance,
    s.service,
    i.node,
    i.pid,
    i.executable,
    i.started_at,
    i.ended_at,
    i.container,
    i.cgroup,
    i.addresses,
    i.listeners,
    i.opaque,
    f.requests,
    f.errors,
    f.client_errors,
    f.no_responses,
    f.duration_sum_ns,
    f.request_bytes,
    f.response_bytes,
    f.duration
from instances as i
join services as s using (service_id)
left join instances_between($1, $2) as f using (instance_id)
where ($3 = '' or s.service = $3)
    and i.started_at < $2
    and (i.ended_at is null or (not $4 and i.ended_at > $1))
    and i.instance > $5
order by i.instance
limit $6
