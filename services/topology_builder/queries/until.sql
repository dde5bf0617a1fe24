-- How far the roll-up has come; it stays there until the transaction ends.
select until
from roll_up
for share
