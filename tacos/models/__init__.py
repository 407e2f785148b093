"""Models in this process: chat templates, loading, devices and numbers, batches, the text embedder."""
