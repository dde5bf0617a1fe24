-- Whether a window between $2 and $3 was stored, or changed, after edition $1.
select exists (
    select from windows as w
    where w.edition > $1
        and w.start >= $2
        and w.start < $3
) as changed
