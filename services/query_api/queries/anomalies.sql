-- Times of trouble that touch $1 to $2, newest first: of entity $3, at least level $4, lasting if $5; after the key
-- ($6, $7), at most $8.
select
    e.id,
    e.entity,
    e.kind,
    e.level,
    e.started,
    e.ended,
    e.reasons
from episodes as e
where e.started < $2
    and (e.ended is null or (not $5 and e.ended >= $1))
    and ($3 = '' or e.entity = $3)
    and e.level >= $4
    and ($6::timestamptz is null or (e.started, e.id) < ($6, $7))
order by e.started desc, e.id desc
limit $8
