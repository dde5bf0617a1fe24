-- What protocol-parser knows when it starts again: an endpoint is named by its first sample, and that comes only once.
create table named_endpoints (
    protocol smallint not null,
    endpoint bigint not null,
    name text not null,
    operation text not null,
    named_at timestamptz not null default now(),
    primary key (protocol, endpoint)
);

comment on column named_endpoints.endpoint is 'The kernel''s 64-bit hash as a signed number.';

create index named_endpoints_by_age on named_endpoints (named_at);

grant select, insert, update, delete on named_endpoints to meshlens_protocol_parser;
