"""Storage and process: the log, the writer, read models, content, vault, settings, telemetry."""
