-- Whether the map ever had the service or the relation $1.
select exists (select from services as s where s.service = $1)
    or exists (select from relations as r where r.relation = $1) as known
