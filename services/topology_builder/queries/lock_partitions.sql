-- Let only one make partitions at a time, until its transaction ends.
select pg_advisory_xact_lock(hashtext('meshlens topology partitions'))
