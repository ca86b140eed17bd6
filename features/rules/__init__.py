"""Rules as data: the language they are written in, the packs that hold their numbers, and what is in force when."""
