"""Outlets: what the journals hold is delivered to receivers outside: webhook, MQTT, syslog."""
