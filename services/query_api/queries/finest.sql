-- The finest resolution at which figures from $1 on are still kept.
select coalesce(
    min(r.resolution) filter (where $1::timestamptz >= now() - r.keep),
    max(r.resolution)
) as resolution
from resolutions as r
