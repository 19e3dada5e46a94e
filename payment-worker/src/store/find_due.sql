SELECT off, coalesce(deadline <= clock_timestamp(), false) FROM dues WHERE holder = $1
