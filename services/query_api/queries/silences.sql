-- The silences that last at $1.
select
    s.id,
    s.template,
    s.entity,
    s.until,
    s.by,
    s.comment
from silences as s
where s.until > $1
order by s.id
