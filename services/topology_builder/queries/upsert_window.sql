-- Note a window as closed, in the next edition of the map; a part that came late is only counted.
with next as (
    update map_edition
    set number = number + 1
    returning number
)
insert into windows as known (start, newest_at, batches, message, edition)
select
    $1,
    $2,
    $3,
    $4,
    next.number
from next
on conflict (start) do update set
    newest_at = greatest(known.newest_at, excluded.newest_at),
    batches = known.batches + excluded.batches,
    late_batches = known.late_batches + excluded.batches,
    edition = excluded.edition
