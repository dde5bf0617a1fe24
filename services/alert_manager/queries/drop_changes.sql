delete from alert_changes
where at < $1
