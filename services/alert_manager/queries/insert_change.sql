insert into alert_changes (alert, at, was, state, value, title)
values ($1, $2, $3, $4, $5, $6)
on conflict (alert, at, state) do nothing
