-- Note batches as applied; no row comes back when one of them is applied already.
insert into kernel_epochs as known (node, epoch, applied, newest_at)
values ($1, $2, $3, $4)
on conflict (node, epoch) do update set
    applied = known.applied + excluded.applied,
    missing = known.missing - excluded.applied,
    newest_at = greatest(known.newest_at, excluded.newest_at)
where not known.applied && excluded.applied
returning true
