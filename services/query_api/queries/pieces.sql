-- How $1 to $2 is kept: the width of its first bucket, and the end of the newest closed window in it.
select
    p.resolution,
    (
        select max(w.start) + interval '10 seconds'
        from windows as w
        where w.start < $2
    ) as closed
from pieces_between($1, $2) as p
order by p.lower
limit 1
