-- Why the content of a program's encrypted connections is not visible.
alter table instances add column opaque text not null default '';
comment on column instances.opaque is 'Why the content of its encrypted connections cannot be seen; empty when nothing is known to stand in the way.';
