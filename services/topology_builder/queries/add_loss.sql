-- State a loss.
insert into losses (start, node, cause, lost)
values ($1, $2, $3, $4)
