"""What takes how long: our figures beside a floor and beside peers, measured in the same run, told as ratios."""
