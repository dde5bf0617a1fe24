-- The keys of some instances.
select
    instance_id,
    instance
from instances
where instance = any($1::text[])
