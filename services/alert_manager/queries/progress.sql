select
    window_end,
    facts
from alert_progress
