UPDATE dues SET off = true WHERE holder = ANY ($1) AND NOT off
