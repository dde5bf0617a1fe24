delete from baselines
where kind = $1
and entity = $2
