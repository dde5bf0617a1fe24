-- The services on the map.
select
    service_id,
    service,
    kind,
    attributes::text as attributes,
    first_seen,
    last_seen
from services
where vanished_at is null
