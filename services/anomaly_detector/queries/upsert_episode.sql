insert into episodes (entity, kind, level, started, ended, reasons)
values ($1, $2, $3, $4, $5, $6)
on conflict (kind, entity, started) do update
set
    level = greatest(episodes.level, excluded.level),
    ended = excluded.ended,
    reasons = excluded.reasons
