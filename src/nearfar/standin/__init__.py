"""A stand-in for a cloud model: three dialects, failures on request, invoices. It says what it is in every answer."""
