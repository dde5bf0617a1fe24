select spans_drop_before($1)
