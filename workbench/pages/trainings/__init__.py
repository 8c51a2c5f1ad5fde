"""Trainings that are not finished, as they go on."""
