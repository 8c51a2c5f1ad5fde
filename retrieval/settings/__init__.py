"""What makes a training run: its settings, recipes and the checks on both."""

from retrieval.settings.schema import SELECTED_ON_TEST, UNTRAINED, TrainSettings, selected_on

__all__ = ["SELECTED_ON_TEST", "UNTRAINED", "TrainSettings", "selected_on"]
