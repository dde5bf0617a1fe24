delete from verdicts
where kind = $1
and entity = $2
