"""How far a judge can be trusted: labelled pairs, the check, its report."""
