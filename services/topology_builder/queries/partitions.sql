-- The partitions that there are.
select tables.relname::text as name
from pg_class as tables
join pg_namespace as schemas on schemas.oid = tables.relnamespace
where schemas.nspname = 'topology'
    and tables.relkind = 'r'
