"""From settings to finished run folders: one run, a session of several, a sweep."""
