"""Values that every room shares: chat, conversation, routing, attempts, places, money, errors. No I/O, no clock."""
