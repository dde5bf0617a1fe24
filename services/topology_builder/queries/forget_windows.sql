-- Forget windows whose figures are no longer kept, and kernels that are long gone.
with old_windows as (
    delete from windows
    where start < $1
        and message is null
)
delete from kernel_epochs
where newest_at < $2
