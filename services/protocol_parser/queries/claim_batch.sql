insert into span_batches (node, epoch, number)
values ($1, $2, $3)
on conflict do nothing
returning number
