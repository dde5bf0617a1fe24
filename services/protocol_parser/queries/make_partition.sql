select spans_make_partition($1)
