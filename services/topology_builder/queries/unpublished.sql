-- Windows that NATS has not stored yet, oldest first.
select
    start,
    message
from windows
where message is not null
order by start
limit 100
