select
    id,
    template,
    entity,
    until,
    by,
    comment
from silences
where until > $1
