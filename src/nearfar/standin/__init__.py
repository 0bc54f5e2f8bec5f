"""A stand-in for a cloud model: five dialects, failures on request, invoices. It says what it is in every answer."""
