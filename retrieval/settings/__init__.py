"""The settings of a training run, the recipes, and the checks of both."""

from retrieval.settings.schema import SELECTED_ON_TEST, UNTRAINED, TrainSettings, selected_on

__all__ = ["SELECTED_ON_TEST", "UNTRAINED", "TrainSettings", "selected_on"]
