-- Which batches are applied.
select
    node,
    epoch,
    applied,
    missing
from kernel_epochs
