"""The methods: pure functions over Arrow, NumPy and torch. No I/O, no Ray, no MLflow."""
