-- How much of a relation's traffic is encrypted on the wire.
alter table relations add column encrypted real not null default 0;
comment on column relations.encrypted is 'Share of its requests, 0 to 1, whose bytes were encrypted, when last seen; to some hundredths.';
