"""The ring's compiled code: one packet for a picture and ten million for a study run through the same functions."""
