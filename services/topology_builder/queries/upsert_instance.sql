-- Write one instance as it is now.
insert into instances (
    instance, service_id, node, epoch, kernel_id, pid, parent, executable, arguments, comm, cgroup, container,
    network_namespace, addresses, listeners, started_at, ended_at, opaque
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
on conflict (instance) do update set
    service_id = excluded.service_id,
    pid = excluded.pid,
    parent = excluded.parent,
    executable = excluded.executable,
    arguments = excluded.arguments,
    comm = excluded.comm,
    cgroup = excluded.cgroup,
    container = excluded.container,
    network_namespace = excluded.network_namespace,
    addresses = excluded.addresses,
    listeners = excluded.listeners,
    started_at = excluded.started_at,
    ended_at = excluded.ended_at,
    opaque = excluded.opaque
