insert into verdicts (entity, kind, at, since, own, inherited, learning, reasons, culprits)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict (kind, entity) do update
set
    at = excluded.at,
    since = excluded.since,
    own = excluded.own,
    inherited = excluded.inherited,
    learning = excluded.learning,
    reasons = excluded.reasons,
    culprits = excluded.culprits
