insert into anomaly_progress (window_end)
values ($1)
on conflict (only_row) do update
set window_end = excluded.window_end
