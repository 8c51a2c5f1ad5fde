"""Why did this match? The similarity of a query and a result, explained."""
