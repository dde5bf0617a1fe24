delete from silences
where until < $1
