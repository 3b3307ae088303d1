-- Version 2: what queries look up by, and the rule that nothing settles twice.

create index "orders_of_account" on "orders" ("account", "instrument", "record");
create index "order_events_of_order" on "order_events" ("digest");
create index "trades_of_instrument" on "trades" ("instrument", "sequence");
create index "trades_of_maker" on "trades" ("maker_account", "instrument", "sequence");
create index "trades_of_taker" on "trades" ("taker_account", "instrument", "sequence");
create index "submissions_of_batch" on "submissions" ("first_sequence");
create unique index "outcomes_settle_once" on "outcomes" ("executor", "sequence") where "settled" = 1;
create index "outcomes_of_trade" on "outcomes" ("sequence");
create index "settled_batches_first" on "settled_batches" ("first_sequence");
create index "custody_events_of_account" on "custody_events" ("account", "block", "position", "part");
create index "auction_events_of_account" on "auction_events" ("account", "block", "position", "part");
create index "feed_prices_by_time" on "feed_prices" ("feed", "timestamp");
create index "funding_by_time" on "funding" ("instrument", "timestamp");
create index "settlements_of_account" on "settlements" ("account", "instrument", "block", "position", "part");
create index "account_log_of_account" on "account_log" ("account", "block", "position", "part");
create index "account_margins_of_account" on "account_margins" ("account", "block", "position", "part");
create index "transactions_by_hash" on "transactions" ("transaction");
