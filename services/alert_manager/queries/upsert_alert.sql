insert into alerts (
    id, template, family, severity, entity, kind, state, title, meaning, next_steps, value, threshold, unit,
    started, held, fired, resolved, updated, acknowledged_by, acknowledged, silenced, occurrences, group_key,
    notified_state
)
values (
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24
)
on conflict (id) do update
set
    family = excluded.family,
    severity = excluded.severity,
    kind = excluded.kind,
    state = excluded.state,
    title = excluded.title,
    meaning = excluded.meaning,
    next_steps = excluded.next_steps,
    value = excluded.value,
    threshold = excluded.threshold,
    unit = excluded.unit,
    started = excluded.started,
    held = excluded.held,
    fired = excluded.fired,
    resolved = excluded.resolved,
    updated = excluded.updated,
    acknowledged_by = excluded.acknowledged_by,
    acknowledged = excluded.acknowledged,
    silenced = excluded.silenced,
    occurrences = excluded.occurrences,
    group_key = excluded.group_key,
    notified_state = excluded.notified_state
