"""The read side's database: what the venue did, as rows that anybody can query and rebuild."""
