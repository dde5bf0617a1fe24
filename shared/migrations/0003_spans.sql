-- Single requests, parsed by protocol-parser. One partition for each UTC day; retention drops whole partitions.
create table spans (
    started timestamptz not null,
    duration_ns bigint not null,
    node text not null,
    epoch bigint not null,
    number bigint not null,
    instance text not null,
    peer text not null,
    role text not null,
    protocol text not null,
    name text not null,
    operation text not null,
    endpoint text not null,
    outcome text not null,
    status integer not null,
    port integer not null,
    remote text not null,
    connection bigint not null,
    stream_offset bigint not null,
    thread bigint not null,
    why text not null,
    trace_id text not null,
    parent_span_id text not null,
    attributes jsonb not null
) partition by range (started);

comment on column spans.number is 'With node and epoch: the sample batch that the span came in.';
comment on column spans.instance is '<node>/<epoch>/<kernel id> of who observed the request.';
comment on column spans.peer is '<node>/<epoch>/<kernel id> of the other end, empty when it is out of sight.';
comment on column spans.role is 'client or server: the side that observed it.';
comment on column spans.protocol is 'http, postgresql, redis, dns, or tcp while nobody recognises it.';
comment on column spans.endpoint is '16 hexadecimal digits of the kernel''s hash, empty where there is none.';
comment on column spans.outcome is 'ok, client_error, server_error or no_response.';
comment on column spans.remote is 'The address of the other end, empty where peer says it better.';
comment on column spans.connection is 'The connection''s 64-bit key, the same on both ends, as a signed number.';
comment on column spans.trace_id is '32 hexadecimal digits when the request carried a trace context, else empty.';

create index spans_by_endpoint on spans (endpoint, started desc);
create index spans_by_instance on spans (instance, started desc);
create index spans_by_failure on spans (started desc) where outcome in ('server_error', 'no_response');
create index spans_by_connection on spans (connection, stream_offset);
create index spans_by_trace on spans (trace_id) where trace_id <> '';

-- The sample batches that were applied: a batch that is delivered again changes nothing.
create table span_batches (
    node text not null,
    epoch bigint not null,
    number bigint not null,
    applied_at timestamptz not null default now(),
    primary key (node, epoch, number)
);

create index span_batches_by_age on span_batches (applied_at);

-- protocol-parser writes rows and nothing else; partitions come and go through these two functions.
create function spans_make_partition(day date) returns void
language plpgsql security definer set search_path = public, pg_temp
as $$
declare
    leaf text := 'spans_' || to_char(day, 'YYYYMMDD');
begin
    perform pg_advisory_xact_lock(hashtext('spans_make_partition'));
    if to_regclass(leaf) is null then
        execute format(
            'create table %I partition of spans for values from (%L) to (%L)',
            leaf, day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC'
        );
    end if;
end
$$;

create function spans_drop_before(day date) returns integer
language plpgsql security definer set search_path = public, pg_temp
as $$
declare
    leaf name;
    dropped integer := 0;
begin
    for leaf in
        select child.relname
        from pg_inherits
        join pg_class child on child.oid = inhrelid
        where inhparent = 'spans'::regclass
            and child.relname ~ '^spans_[0-9]{8}$'
            and to_date(right(child.relname, 8), 'YYYYMMDD') < day
    loop
        execute format('drop table %I', leaf);
        dropped := dropped + 1;
    end loop;
    delete from span_batches where applied_at < day::timestamp at time zone 'UTC';
    return dropped;
end
$$;

revoke execute on function spans_make_partition(date), spans_drop_before(date) from public;
grant execute on function spans_make_partition(date), spans_drop_before(date) to meshlens_protocol_parser;
grant select, insert on spans, span_batches to meshlens_protocol_parser;
grant select on spans, span_batches to meshlens_query_api;
