"""Call detail records: every node reports its calls, collectors write one consolidated journal."""
