-- What could not be counted in full between $1 and $2, by cause.
select
    l.cause,
    sum(l.lost)::bigint as lost
from losses as l
where l.start >= $1
    and l.start < $2
group by l.cause
having sum(l.lost) <> 0
