"""How each task's data is read and turned into batches: one file a task."""
