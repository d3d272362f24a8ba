"""Events: what can be said to have happened, the recorder, and the journal of a run."""
