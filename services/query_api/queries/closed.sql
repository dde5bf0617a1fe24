-- The end of the newest closed window before $1, and of the newest kernel data in it.
select
    w.start + interval '10 seconds' as closed,
    w.newest_at
from windows as w
where w.start < $1
order by w.start desc
limit 1
