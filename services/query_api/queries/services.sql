-- The services of the map between $1 and $2: those that were there, and those of the keys $3, which have figures.
select
    s.service_id,
    s.service,
    s.name,
    s.kind,
    s.attributes,
    coalesce(r.running, 0) as running
from services as s
left join (
    select i.service_id, count(*) as running
    from instances as i
    where i.started_at < $2
        and (i.ended_at is null or i.ended_at >= $2)
    group by i.service_id
) as r using (service_id)
where s.service_id = any($3::integer[])
    or (s.first_seen < $2 and (s.vanished_at is null or s.vanished_at > $1))
order by s.service
