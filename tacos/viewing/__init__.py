"""What a finished run holds, for people: why a row was taken, what differs between two arms, files to go on with."""
