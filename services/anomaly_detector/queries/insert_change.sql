insert into colour_changes (entity, kind, at, own, inherited, learning, culprits)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (kind, entity, at) do nothing
