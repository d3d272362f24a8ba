"""STORIES. A trace through a lens: frames, captions, pictures as data, predictions. Nothing here draws."""
