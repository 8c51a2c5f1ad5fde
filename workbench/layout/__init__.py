"""What the frame of every page needs: theme, context line, exports, colors of runs."""
