"""Film as it is found: read, cut into shots, sifted, posed, seen again from new ways, and labelled."""
