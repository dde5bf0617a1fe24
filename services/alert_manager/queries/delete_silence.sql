delete from silences
where id = $1
