"""Where a chat model runs: one backend a file, and what each needs beside it."""
