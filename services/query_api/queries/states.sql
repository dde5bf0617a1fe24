-- The colours at $2, with the reasons of trouble that touched $1 to $2.
select distinct on (c.kind, c.entity)
    c.kind,
    c.entity,
    c.own,
    c.inherited,
    c.learning,
    c.culprits,
    coalesce(e.reasons, '[]') as reasons
from colour_changes as c
left join episodes as e
    on e.kind = c.kind
    and e.entity = c.entity
    and e.started <= $2
    and (e.ended is null or e.ended >= $1)
where c.at <= $2
order by c.kind, c.entity, c.at desc, e.started desc
