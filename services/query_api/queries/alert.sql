-- The alert $1.
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
where a.id = $1
