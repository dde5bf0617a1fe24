insert into alert_progress (window_end, facts)
values ($1, coalesce($2, ''::bytea))
on conflict (only_row) do update
set
    window_end = excluded.window_end,
    facts = coalesce($2, alert_progress.facts)
