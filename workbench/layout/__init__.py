"""The frame of every page: theme, context line, exports, colors of runs."""
