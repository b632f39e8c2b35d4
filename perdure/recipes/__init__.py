"""Runs: functions that bring a loop, a method and data together."""
