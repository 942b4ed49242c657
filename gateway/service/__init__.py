"""Processes: wiring, workers, lifecycle, reload, logs, control; the one place that knows every stage."""
