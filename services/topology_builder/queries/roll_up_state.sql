-- How far the roll-up has come, and where the next window is.
select
    roll_up.until,
    (select min(windows.start) from windows where windows.start >= roll_up.until) as oldest
from roll_up
