select protocol, endpoint, name, operation
from named_endpoints
order by named_at desc
limit $1
