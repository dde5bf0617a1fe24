-- Note how long each resolution is kept.
update resolutions
set keep = $2
where resolution = $1
