-- Note a window as closed; a part that came late is only counted.
insert into windows as known (start, newest_at, batches, message)
values ($1, $2, $3, $4)
on conflict (start) do update set
    newest_at = greatest(known.newest_at, excluded.newest_at),
    batches = known.batches + excluded.batches,
    late_batches = known.late_batches + excluded.batches
