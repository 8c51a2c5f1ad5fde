"""The app that looks at run folders: figures, tables, galleries and pages."""
