-- Names of endpoints.
select
    protocol,
    endpoint,
    name
from endpoint_names
limit $1
