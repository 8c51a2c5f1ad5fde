"""Why two images match, in a notebook: heat maps over both."""

import numpy as np
from PIL import Image

from retrieval.datasets.catalog import crop_boxes
from retrieval.errors import UserError
from retrieval.runs.run import Run
from workbench.data.images import picture_path
from workbench.figures.heatmaps import overlay, plain


class MatchExplainer:
    """Shows which parts of two images raised their similarity under a run.

    Opening the run's network takes seconds, so make one explainer for all pairs of images::

        explainer = nb.MatchExplainer(run)
        explainer.show(query, result)
    """

    def __init__(self, run: Run) -> None:
        """Open the network of a run, which must have been kept as a checkpoint."""
        from retrieval.training.inspection import open_inspector  # loads TensorFlow

        self.run = run
        self._inspector = open_inspector(run)

    def show(self, query: int, result: int) -> Image.Image:
        """Show two images as the network saw them, each next to its heat map.

        Prints the similarity, and whether its split over image positions is exact.

        Args:
            query: Item row of the first image.
            result: Item row of the second image.

        Returns:
            Four pictures in a row.

        Raises:
            UserError: An image is no longer in the data set's folder.
        """
        items = self.run.items.iloc[[query, result]]
        paths = [picture_path(self.run, row) for row in (query, result)]
        found = [path for path in paths if path is not None]
        if len(found) < 2:
            raise UserError("the image is no longer in the data set's folder")
        images = self._inspector.load(found, crop_boxes(items))
        match = self._inspector.match(images)
        strongest = max(np.abs(match.first).max(), np.abs(match.second).max())
        pictures = []
        for image, parts in zip(images, (match.first, match.second), strict=True):
            pictures += [plain(image), overlay(image, parts, strongest)]
        query_name, result_name = items["label_name"]
        kind = "exact" if match.exact else "approximate"
        print(f"{query_name} -> {result_name}: {match.similarity:.3f} ({kind})")
        return Image.fromarray(np.concatenate([np.asarray(p) for p in pictures], axis=1))
