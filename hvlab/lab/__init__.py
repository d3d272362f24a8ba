"""The lab's own logic: studies, predictions, checks. No widgets: `view` draws what is made here."""
