"""Assessments, the queue of visits, what visits found, and the journal that proves none of it was changed."""
