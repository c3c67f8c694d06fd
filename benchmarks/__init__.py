"""What the product costs, measured side by side in one run. Each prints a table and writes JSON."""
