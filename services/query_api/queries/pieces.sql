-- How $1 to $2 is kept: the width of its first bucket, the end of the newest closed window in it; and what is newest.
select
    p.resolution,
    (
        select max(w.start) + interval '10 seconds'
        from windows as w
        where w.start < $2
    ) as closed,
    (select e.number from map_edition as e) as edition,
    (select coalesce(max(r.relation_id), 0) from relations as r) as newest_key
from pieces_between($1, $2) as p
order by p.lower
limit 1
