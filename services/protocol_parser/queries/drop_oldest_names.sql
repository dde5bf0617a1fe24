delete from named_endpoints
where (protocol, endpoint) in (
    select protocol, endpoint
    from named_endpoints
    order by named_at desc
    offset $1
)
