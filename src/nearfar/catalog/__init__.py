"""Dated facts about models and prices: strict loaders over data files."""
