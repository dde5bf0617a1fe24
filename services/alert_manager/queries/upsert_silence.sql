insert into silences (id, template, entity, until, by, comment)
values ($1, $2, $3, $4, $5, $6)
on conflict (id) do update
set
    template = excluded.template,
    entity = excluded.entity,
    until = excluded.until,
    by = excluded.by,
    comment = excluded.comment
