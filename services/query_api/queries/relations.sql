-- The relations of the map between $1 and $2: those that were there, and those of the keys $3, which have figures.
select
    r.relation_id,
    r.relation,
    source.service as source,
    target.service as target,
    r.protocol,
    r.port,
    r.encrypted
from relations as r
join services as source on source.service_id = r.source_id
join services as target on target.service_id = r.target_id
where r.relation_id = any($3::integer[])
    or (r.first_seen < $2 and (r.vanished_at is null or r.vanished_at > $1))
order by r.relation
