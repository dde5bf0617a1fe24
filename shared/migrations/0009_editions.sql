-- Which windows changed since an answer was made: what query-api keeps stays right to the unit.
create table map_edition (
    single boolean primary key default true check (single),
    number bigint not null
);
insert into map_edition (number) values (0);
comment on table map_edition is 'How often a window was stored; one row. Whoever stores one holds the row until it is committed, so numbers become visible in order.';
comment on column map_edition.single is 'There is one row.';
comment on column map_edition.number is 'The newest edition.';
alter table map_edition owner to meshlens_topology_builder;
grant select on map_edition to meshlens_query_api;

alter table windows add column edition bigint not null default 0;
comment on column windows.edition is 'The edition in which it was stored, or changed by a part that came late.';
create index windows_by_edition on windows (edition);
