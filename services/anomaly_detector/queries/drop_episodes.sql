delete from episodes
where ended < $1
