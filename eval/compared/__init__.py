"""Two arms side by side: what was set, which rows they took, what they got."""
