"""The app's entry: main script, sidebar, empty state, start-up, browser history."""
