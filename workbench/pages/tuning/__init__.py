"""Tuning: every loss searched with the same budget, and what that changes on the test split."""
