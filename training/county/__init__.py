"""A synthetic county whose true risks are known: households, shocks, aid, statuses and the traces they leave."""
