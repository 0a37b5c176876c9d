"""Figures for Prometheus and OpenTelemetry: what they are called, how they are counted, how they are written."""
