delete from colour_changes as old
where old.at < $1
and exists (
    select
    from colour_changes as newer
    where newer.kind = old.kind
    and newer.entity = old.entity
    and newer.at > old.at
    and newer.at < $1
)
