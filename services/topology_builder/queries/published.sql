-- Note a window as published.
update windows
set message = null
where start = $1
