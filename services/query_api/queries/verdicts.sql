-- The newest colours.
select
    v.kind,
    v.entity,
    v.own,
    v.inherited,
    v.learning,
    v.culprits,
    v.reasons
from verdicts as v
