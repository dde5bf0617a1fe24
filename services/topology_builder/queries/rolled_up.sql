-- Move the end of the roll-up; no row comes back when another has moved it already.
update roll_up
set until = $2
where until <= $1
returning true
