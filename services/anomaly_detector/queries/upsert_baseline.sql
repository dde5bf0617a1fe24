insert into baselines (entity, kind, saved, state)
values ($1, $2, $3, $4)
on conflict (kind, entity) do update
set
    saved = excluded.saved,
    state = excluded.state
