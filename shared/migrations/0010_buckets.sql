-- Ranges are read as few rows as there are, and their counts are added up as what they are.
create aggregate total(bigint) (sfunc = int8pl, stype = bigint, initcond = '0', combinefunc = int8pl, parallel = safe);
comment on aggregate total(bigint) is 'The sum as a bigint: half the work of sum(), which counts in numeric; beyond a bigint it is an error.';

-- Each piece of a range is cut once more: whole buckets of wider resolutions in its middle, as wide as they fit.
create function buckets_between(since timestamptz, till timestamptz)
returns table (resolution smallint, start timestamptz)
language sql stable parallel safe rows 8 as $$
    with pieces as (
        select * from pieces_between(since, till)
    ), inside as (
        select p.resolution as piece, p.lower as piece_lower, p.resolution::integer, p.lower, p.upper
        from pieces as p
        union all
        select
            p.resolution,
            p.lower,
            r.resolution,
            bucket_start(p.lower - interval '1 microsecond', r.resolution) + r.resolution * interval '1 second',
            bucket_start(case when r.resolution <= 60 then p.upper else least(p.upper, u.until) end, r.resolution)
        from pieces as p
        join resolutions as r on r.resolution > p.resolution and p.lower >= now() - r.keep
        cross join roll_up as u
    ), nested as (
        select
            i.resolution,
            i.lower,
            i.upper,
            lead(i.lower) over wider as inner_lower,
            lead(i.upper) over wider as inner_upper
        from inside as i
        where i.lower < i.upper
        window wider as (partition by i.piece, i.piece_lower order by i.resolution)
    ), parts as (
        select n.resolution, n.lower, coalesce(n.inner_lower, n.upper) as upper from nested as n
        union all
        select n.resolution, n.inner_upper, n.upper from nested as n where n.inner_upper < n.upper
    )
    select p.resolution::smallint, s.start
    from parts as p
    cross join lateral generate_series(
        bucket_start(p.lower - interval '1 microsecond', p.resolution) + p.resolution * interval '1 second',
        p.upper - interval '1 microsecond',
        p.resolution * interval '1 second'
    ) as s (start)
$$;
comment on function buckets_between is 'The fewest buckets that make up a range, out of pieces_between: a resolution and a start each.';

drop function relations_between;

create or replace function services_between(since timestamptz, till timestamptz) returns table (
    service_id integer,
    requests bigint,
    errors bigint,
    client_errors bigint,
    no_responses bigint,
    duration_sum_ns bigint,
    request_bytes bigint,
    response_bytes bigint,
    opened bigint,
    closed bigint,
    bytes_sent bigint,
    bytes_received bigint,
    segments_sent bigint,
    retransmits bigint,
    resets_sent bigint,
    resets_received bigint,
    listen_overflows bigint,
    own_side boolean,
    duration numeric,
    connect numeric,
    rtt numeric,
    failed jsonb,
    drops jsonb
)
language sql stable parallel safe as $$
    select
        f.service_id,
        total(f.requests),
        total(f.errors),
        total(f.client_errors),
        total(f.no_responses),
        total(f.duration_sum_ns),
        total(f.request_bytes),
        total(f.response_bytes),
        total(f.opened),
        total(f.closed),
        total(f.bytes_sent),
        total(f.bytes_received),
        total(f.segments_sent),
        total(f.retransmits),
        total(f.resets_sent),
        total(f.resets_received),
        total(f.listen_overflows),
        bool_or(f.own_side),
        sum(f.duration),
        sum(f.connect),
        sum(f.rtt),
        sum_counts(f.failed),
        sum_counts(f.drops)
    from buckets_between(since, till) as p
    cross join lateral (
        select
            g.service_id,
            g.requests,
            g.errors,
            g.client_errors,
            g.no_responses,
            g.duration_sum_ns,
            g.request_bytes,
            g.response_bytes,
            g.opened,
            g.closed,
            g.bytes_sent,
            g.bytes_received,
            g.segments_sent,
            g.retransmits,
            g.resets_sent,
            g.resets_received,
            g.listen_overflows,
            g.own_side,
            g.duration,
            g.connect,
            g.rtt,
            g.failed,
            g.drops
        from service_figures as g
        where g.resolution = p.resolution and g.start = p.start
        offset 0
    ) as f
    group by f.service_id
$$;

create or replace function instances_between(since timestamptz, till timestamptz) returns table (
    instance_id integer,
    requests bigint,
    errors bigint,
    client_errors bigint,
    no_responses bigint,
    duration_sum_ns bigint,
    request_bytes bigint,
    response_bytes bigint,
    duration numeric
)
language sql stable parallel safe as $$
    select
        f.instance_id,
        total(f.requests),
        total(f.errors),
        total(f.client_errors),
        total(f.no_responses),
        total(f.duration_sum_ns),
        total(f.request_bytes),
        total(f.response_bytes),
        sum(f.duration)
    from buckets_between(since, till) as p
    cross join lateral (
        select
            g.instance_id,
            g.requests,
            g.errors,
            g.client_errors,
            g.no_responses,
            g.duration_sum_ns,
            g.request_bytes,
            g.response_bytes,
            g.duration
        from instance_figures as g
        where g.resolution = p.resolution and g.start = p.start
        offset 0
    ) as f
    group by f.instance_id
$$;

create or replace function endpoints_between(since timestamptz, till timestamptz) returns table (
    endpoint_id integer,
    requests bigint,
    errors bigint,
    client_errors bigint,
    no_responses bigint,
    duration_sum_ns bigint,
    request_bytes bigint,
    response_bytes bigint,
    duration numeric
)
language sql stable parallel safe as $$
    select
        f.endpoint_id,
        total(f.requests),
        total(f.errors),
        total(f.client_errors),
        total(f.no_responses),
        total(f.duration_sum_ns),
        total(f.request_bytes),
        total(f.response_bytes),
        sum(f.duration)
    from buckets_between(since, till) as p
    cross join lateral (
        select
            g.endpoint_id,
            g.requests,
            g.errors,
            g.client_errors,
            g.no_responses,
            g.duration_sum_ns,
            g.request_bytes,
            g.response_bytes,
            g.duration
        from endpoint_figures as g
        where g.resolution = p.resolution and g.start = p.start
        offset 0
    ) as f
    group by f.endpoint_id
$$;

create function relations_between(
    since timestamptz,
    till timestamptz,
    at_least integer default 0,
    at_most integer default 2147483647
) returns table (
    relation_id integer,
    client_requests bigint,
    client_errors bigint,
    client_client_errors bigint,
    client_no_responses bigint,
    client_duration_sum_ns bigint,
    client_request_bytes bigint,
    client_response_bytes bigint,
    server_requests bigint,
    server_errors bigint,
    server_client_errors bigint,
    server_no_responses bigint,
    server_duration_sum_ns bigint,
    server_request_bytes bigint,
    server_response_bytes bigint,
    opened bigint,
    closed bigint,
    bytes_sent bigint,
    bytes_received bigint,
    segments_sent bigint,
    retransmits bigint,
    resets_sent bigint,
    resets_received bigint,
    listen_overflows bigint,
    client_duration numeric,
    server_duration numeric,
    connect numeric,
    rtt numeric,
    failed jsonb,
    drops jsonb
)
language sql stable parallel safe as $$
    select
        f.relation_id,
        total(f.client_requests),
        total(f.client_errors),
        total(f.client_client_errors),
        total(f.client_no_responses),
        total(f.client_duration_sum_ns),
        total(f.client_request_bytes),
        total(f.client_response_bytes),
        total(f.server_requests),
        total(f.server_errors),
        total(f.server_client_errors),
        total(f.server_no_responses),
        total(f.server_duration_sum_ns),
        total(f.server_request_bytes),
        total(f.server_response_bytes),
        total(f.opened),
        total(f.closed),
        total(f.bytes_sent),
        total(f.bytes_received),
        total(f.segments_sent),
        total(f.retransmits),
        total(f.resets_sent),
        total(f.resets_received),
        total(f.listen_overflows),
        sum(f.client_duration),
        sum(f.server_duration),
        sum(f.connect),
        sum(f.rtt),
        sum_counts(f.failed),
        sum_counts(f.drops)
    from buckets_between(since, till) as p
    cross join lateral (
        select
            g.relation_id,
            g.client_requests,
            g.client_errors,
            g.client_client_errors,
            g.client_no_responses,
            g.client_duration_sum_ns,
            g.client_request_bytes,
            g.client_response_bytes,
            g.server_requests,
            g.server_errors,
            g.server_client_errors,
            g.server_no_responses,
            g.server_duration_sum_ns,
            g.server_request_bytes,
            g.server_response_bytes,
            g.opened,
            g.closed,
            g.bytes_sent,
            g.bytes_received,
            g.segments_sent,
            g.retransmits,
            g.resets_sent,
            g.resets_received,
            g.listen_overflows,
            g.client_duration,
            g.server_duration,
            g.connect,
            g.rtt,
            g.failed,
            g.drops
        from relation_figures as g
        where g.resolution = p.resolution
            and g.start = p.start
            and g.relation_id between at_least and at_most
        offset 0
    ) as f
    group by f.relation_id
$$;
comment on function relations_between is 'The figures of each relation from *since* up to *till*; those without traffic are left out. Only keys from *at_least* to *at_most*: several connections can share the work.';
