-- Alerts, the newest change first: in state $1, of severity $2, of entity $3; after the key ($4, $5), at most $6.
select
    a.id,
    a.template,
    a.family,
    a.severity,
    a.entity,
    a.kind,
    a.state,
    a.title,
    a.meaning,
    a.next_steps,
    a.value,
    a.threshold,
    a.unit,
    a.started,
    a.fired,
    a.resolved,
    a.updated,
    a.acknowledged_by,
    a.acknowledged,
    a.silenced,
    a.occurrences
from alerts as a
where ($1 = '' or a.state = $1)
    and ($2 = '' or a.severity = $2)
    and ($3 = '' or a.entity = $3)
    and ($4::timestamptz is null or (a.updated, a.id) < ($4, $5))
order by a.updated desc, a.id desc
limit $6
