-- The instances that run, or ended a short while ago.
select
    instances.instance_id,
    instances.instance,
    services.service,
    instances.node,
    instances.epoch,
    instances.kernel_id,
    instances.pid,
    instances.parent,
    instances.executable,
    instances.arguments,
    instances.comm,
    instances.cgroup,
    instances.container,
    instances.network_namespace,
    instances.addresses,
    instances.listeners,
    instances.started_at,
    instances.ended_at,
    instances.opaque
from instances
join services using (service_id)
where instances.ended_at is null
    or instances.ended_at > $1
order by instances.instance_id desc
limit $2
