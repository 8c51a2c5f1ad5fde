"""Tests of fair tuning."""
