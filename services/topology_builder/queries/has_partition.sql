-- Whether there is a partition $1.
select to_regclass('topology.' || $1) is not null
