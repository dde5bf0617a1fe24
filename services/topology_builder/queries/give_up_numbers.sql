-- Note batches as lost; no row comes back when one of them is there.
insert into kernel_epochs as known (node, epoch, missing)
values ($1, $2, $3)
on conflict (node, epoch) do update set
    missing = known.missing + excluded.missing
where not known.applied && excluded.missing
    and not known.missing && excluded.missing
returning true
