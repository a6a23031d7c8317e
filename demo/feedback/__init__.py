"""Objections that visitors consented to: kept, looked at by a person, exported as training data, deleted by receipt."""
