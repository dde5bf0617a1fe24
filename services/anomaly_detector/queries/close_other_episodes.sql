update episodes
set ended = $4
where kind = $1
and entity = $2
and ended is null
and started <> $3
