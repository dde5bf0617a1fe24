select
    kind,
    entity,
    state
from baselines
