"""What is private in a text: normalise, find, mask, restore. It opens no socket and decides nothing."""
