-- The relations on the map.
select
    relations.relation_id,
    relations.relation,
    sources.service as source,
    targets.service as target,
    relations.protocol,
    relations.port,
    relations.first_seen,
    relations.last_seen,
    relations.encrypted
from relations
join services as sources on sources.service_id = relations.source_id
join services as targets on targets.service_id = relations.target_id
where relations.vanished_at is null
