-- Each service connects with a role of its own, which can do only its job; passwords are set after the migration.
do $$
declare
    service text;
begin
    foreach service in array array[
        'protocol_parser', 'topology_builder', 'anomaly_detector', 'alert_manager', 'query_api'
    ]
    loop
        if not exists (select from pg_roles where rolname = 'meshlens_' || service) then
            execute format('create role %I with login noinherit nosuperuser nocreatedb nocreaterole', 'meshlens_' || service);
        end if;
        execute format('grant connect on database %I to %I', current_database(), 'meshlens_' || service);
        execute format('grant usage on schema public to %I', 'meshlens_' || service);
    end loop;
end
$$;

grant select on schema_version to
    meshlens_protocol_parser, meshlens_topology_builder, meshlens_anomaly_detector, meshlens_alert_manager,
    meshlens_query_api;
